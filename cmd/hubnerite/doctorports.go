package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// checkPorts finds out which ports an emulator could have, and who has the others.
func checkPorts(ports map[string]int) []finding {
	var all []finding
	var free []string
	for _, flag := range slices.Sorted(maps.Keys(ports)) {
		port := ports[flag]
		if port <= 0 {
			continue // any, or none
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = l.Close()
			free = append(free, strconv.Itoa(port))
			continue
		}
		if errors.Is(err, os.ErrPermission) {
			mend := "run the emulator with that right"
			if runtime.GOOS == "linux" {
				mend = fmt.Sprintf(`"sysctl net.ipv4.ip_unprivileged_port_start=%d" or "setcap cap_net_bind_service=+ep" on the program`, port)
			}
			all = append(all, finding{remark, fmt.Sprintf("port %d may not be bound by this account", port), mend})
			continue
		}
		who := "another program"
		if name := portOwner(port); name != "" {
			who = name
		}
		severity, mend := problem, fmt.Sprintf("stop it, or start the emulator with --%s PORT", flag)
		if flag == "amqp-plain-port" {
			severity, mend = remark, "the emulator takes another port for plain AMQP then"
		}
		all = append(all, finding{severity, fmt.Sprintf("port %d is taken by %s (%v)", port, who, err), mend})
	}
	if len(free) > 0 {
		all = append(all, finding{fine, "free ports: " + strings.Join(free, ", "), ""})
	}
	return all
}

// portOwner names the process that listens on a port, where Linux lets us see it;
// elsewhere the command that would tell.
func portOwner(port int) string {
	switch runtime.GOOS {
	case "linux":
	case "windows":
		return fmt.Sprintf(`another program, which "netstat -ano | findstr :%d" names`, port)
	default:
		return fmt.Sprintf(`another program, which "lsof -nP -iTCP:%d -sTCP:LISTEN" names`, port)
	}
	var sockets []string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err == nil {
			sockets = append(sockets, listeningSockets(string(text), port)...)
		}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !slices.Contains(sockets, target) {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf("%s, process %s", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// listeningSockets returns the sockets of a /proc/net/tcp that listen on a port, as
// links of file descriptors name them.
func listeningSockets(table string, port int) []string {
	const listening = "0A"
	var sockets []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			sockets = append(sockets, "socket:["+fields[9]+"]")
		}
	}
	return sockets
}
