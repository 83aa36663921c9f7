//go:build conformance && linux

package conformance

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

const probeFailed = 97

// dottedHosts are names of hubs and gateways that resolve to the emulator in a scenario's private hosts file. Many systems resolve
// all of *.localhost.
const dottedHosts = "127.0.0.1 hub1.azure-devices.net gateway.factory.example other.factory.example test1.localhost\n"

// isolate gives the process to be started user, mount and network namespaces of its own, in which it is root, and makes it
// the leader of a process group.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Setpgid:     true,
		Pdeathsig:   syscall.SIGKILL,
	}
}

// namespacesWork tells whether isolated processes can be had here, by making one.
func namespacesWork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(sharedVariable) != "" {
		return false
	}
	out, err := probeNamespace()
	if err != nil {
		t.Logf("namespaces: %v: %s", err, bytes.TrimSpace(out))
	}
	return err == nil
}

func probeNamespace() ([]byte, error) {
	folder, err := os.MkdirTemp("", "hubnerite-probe")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), insideVariable+"=probe", folderVariable+"="+folder)
	isolate(cmd)
	return cmd.CombinedOutput()
}

func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

// ownGroup makes the process to be started the leader of a process group, which ends with us.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// interruptGroup is Ctrl-C for a process and what it started.
func interruptGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
}

// enterNamespace prepares the namespaces this process was born into: private mounts, a hosts file with dottedHosts, and a
// loopback interface that is up. There is no other interface, so no program can leave the machine.
func enterNamespace() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := ownHosts(dottedHosts); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	for _, port := range []int{443, 5671, 8883} {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		_ = listener.Close()
	}
	if conn, err := net.DialTimeout("tcp", "192.0.2.1:443", 100*time.Millisecond); err == nil {
		_ = conn.Close()
		return fmt.Errorf("this namespace has a way out")
	}
	return nil
}

// ownHosts puts the system's hosts file plus lines over /etc/hosts, for this mount namespace alone. The file behind it stays,
// because nothing can be mounted over a file that has been removed, and `hubnerite exec --map-hosts` does that in turn.
func ownHosts(lines string) error {
	system, err := os.ReadFile("/etc/hosts")
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	folder := os.Getenv(folderVariable)
	if folder == "" {
		folder = os.TempDir()
	}
	file, err := os.CreateTemp(folder, "hosts")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(file, "%s\n%s", bytes.TrimSpace(system), lines); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := syscall.Mount(file.Name(), "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("hosts file: %w", err)
	}
	return nil
}

// loopbackUp is `ip link set lo up` without the need for that program.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	// struct ifreq: the interface's name, then its flags.
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
