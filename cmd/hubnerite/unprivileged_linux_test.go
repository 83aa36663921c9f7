package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
)

// unprivileged returns a command that runs the program under an ordinary
// account, in a directory of that account.
func unprivileged(t *testing.T, args ...string) (command *exec.Cmd, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hubnerite-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "hubnerite")
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	command = exec.Command(binary, args...)
	command.Dir = dir
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	if os.Geteuid() == 0 {
		const nobody = 65534
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return command, dir
}

// alone moves a command of unprivileged into a network namespace of its own, where
// all ports are free and 443 is not for every account. It reports false where that cannot be done.
func alone(command *exec.Cmd) bool {
	const drop = "ip link set lo up && exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "
	unshare, err := exec.LookPath("unshare")
	if os.Geteuid() != 0 || err != nil || exec.Command(unshare, "-n", "sh", "-c", drop+"true").Run() != nil {
		return false
	}
	command.Args = append([]string{unshare, "-n", "sh", "-c", drop + `"$@"`, "sh", command.Path}, command.Args[1:]...)
	command.Path, command.SysProcAttr = unshare, nil
	return true
}

// TestFallsBackFrom443 starts the program under an account that may not bind
// 443. Where every account may, as in most containers, there is nothing to fall back from.
func TestFallsBackFrom443(t *testing.T) {
	command, dir := unprivileged(t, "--in-memory", "--mqtt-port=0", "--amqp-port=0", "--amqp-plain-port=0", "--admin-port=0", "--ready-file=ready.json")
	if !alone(command) {
		limit, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
		if err == nil && len(bytes.TrimSpace(limit)) < 3 {
			t.Skip("every account may bind 443 here")
		}
		if l, err := net.Listen("tcp", "127.0.0.1:8443"); err != nil {
			t.Skipf("8443 is taken: %v", err)
		} else {
			_ = l.Close()
		}
	}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var info emulator.Info
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(dir, "ready.json"))
		if err == nil {
			if err := json.Unmarshal(text, &info); err != nil {
				t.Error(err)
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
			break
		}
	}
	_ = command.Process.Signal(os.Interrupt)
	if err := command.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	if info.Ports.HTTPS != 8443 || !strings.HasPrefix(info.ConnectionStrings["service"], "HostName=localhost:8443;") {
		t.Errorf("ports %+v, service string %q; want 8443 in both", info.Ports, info.ConnectionStrings["service"])
	}
	if !strings.Contains(out.String(), "ATTENTION: port 443 may not be bound") {
		t.Errorf("the output does not say so:\n%s", out.String())
	}

	asked, _ := unprivileged(t, "--in-memory", "--mqtt-port=0", "--amqp-port=0", "--amqp-plain-port=0", "--admin-port=0", "--https-port=443")
	alone(asked)
	text, err := asked.CombinedOutput()
	if err == nil || !strings.Contains(string(text), "ip_unprivileged_port_start=443") {
		t.Errorf("a 443 that was asked for: %v\n%s", err, text)
	}
}

// TestMapHostsUnprivileged runs exec --map-hosts under an ordinary account,
// where it works, and where user namespaces are refused.
func TestMapHostsUnprivileged(t *testing.T) {
	if err := exec.Command("unshare", "-Um", "true").Run(); err != nil {
		t.Skipf("no user namespaces here: %v", err)
	}
	_, path := startForTest(t)
	command, _ := unprivileged(t, "exec", "--map-host=hub2.azure-devices.net", "--", "sh", "-c", "cat /etc/hosts; id -u; grep CapEff /proc/self/status")
	command.Env = append(command.Env, "HUBNERITE_ADMIN_URL="+path)
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, want := range []string{"127.0.0.1\thub2.azure-devices.net\n", "CapEff:\t0000000000000000\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the program sees\n%s\nwithout %q", text, want)
		}
	}

	t.Run("refused", func(t *testing.T) {
		// A user namespace that may have no further ones stands for such a system.
		if os.Geteuid() != 0 {
			t.Skip("only root can make a system that refuses")
		}
		inner, dir := unprivileged(t)
		script := `echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"`
		refused := exec.Command("unshare", "-Ur", "sh", "-c", script, "sh", inner.Path, "exec", "--map-host=hub2.azure-devices.net", "--", "true")
		refused.Env, refused.Dir = append(inner.Env, "HUBNERITE_ADMIN_URL="+path), dir
		text, err := refused.CombinedOutput()
		if err == nil || !strings.Contains(string(text), "does not let this account") || !strings.Contains(string(text), "127.0.0.1\thub2.azure-devices.net") {
			t.Errorf("where namespaces are refused: %v\n%s", err, text)
		}
	})
}

// startForTest runs an emulator in this process and returns its management address.
func startForTest(t *testing.T) (*emulator.Emulator, string) {
	t.Helper()
	e, err := emulator.Start(t.Context(), emulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(t.Context()) })
	return e, e.Info().AdminURL
}
