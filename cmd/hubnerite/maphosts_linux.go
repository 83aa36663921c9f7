package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const hostsFile = "/etc/hosts"

// runWithHosts runs a program in a mount namespace in which /etc/hosts maps the
// names to the address. Making one takes a privilege that an ordinary account
// has in a user namespace of its own; the program keeps its account there.
func runWithHosts(path string, command, environment []string, address string, names []string) error {
	current, err := os.ReadFile(hostsFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := writeHosts(mapHosts(string(current), address, names))
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file) }()

	forward, stop := catchSignals()
	defer stop()
	// PR_SET_PDEATHSIG is about the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := func(attributes *syscall.SysProcAttr) (*exec.Cmd, error) {
		args := append([]string{"run-with-hosts", file, path, "--"}, command...)
		child := exec.Command("/proc/self/exe", args...) //nolint:gosec // running what the user names is the point
		child.Args[0] = os.Args[0]
		child.Env = environment
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		attributes.Pdeathsig = syscall.SIGTERM
		child.SysProcAttr = attributes
		return child, child.Start()
	}
	// Root, where it may, needs no user namespace.
	child, err := start(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})
	if errors.Is(err, syscall.EPERM) {
		child, err = start(&syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}},
			AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
		})
	}
	if err != nil {
		return refusedNamespaces(err, address, names)
	}
	forward(child.Process)
	if err := child.Wait(); err != nil {
		return exitOf(err)
	}
	return nil
}

// refusedNamespaces explains what to do where the system has no namespaces for
// this account (containers, hardened distributions).
func refusedNamespaces(err error, address string, names []string) error {
	return fmt.Errorf("this system does not let this account have a hosts file of its own (mount and user namespaces: %w)\n"+
		"Allow unprivileged user namespaces, or add these lines to %s and leave --map-hosts out:\n%s", err, hostsFile, hostsLines(address, names))
}

func writeHosts(text string) (string, error) {
	f, err := os.CreateTemp("", "hubnerite-hosts-")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	if err == nil {
		// Whoever the program becomes must be able to read it.
		err = f.Chmod(0o644)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return f.Name(), err
}

// becomeWithHosts runs inside the new namespaces: it mounts the hosts file,
// gives up the privilege for that, and becomes the program.
func becomeWithHosts(file, path string, command []string) error {
	// Capabilities belong to the thread.
	runtime.LockOSThread()
	// Keep the mount to ourselves.
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount(file, hostsFile, "", unix.MS_BIND, "")
	}
	if err != nil {
		return fmt.Errorf("this system does not let this account have a hosts file of its own (mount: %w)\n"+
			"Allow unprivileged user namespaces, or map the names in %s and leave --map-hosts out", err, hostsFile)
	}
	// The mount holds on to the file.
	_ = os.Remove(file)
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	return replaceProcess(path, command, os.Environ())
}
