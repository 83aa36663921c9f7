package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Exit codes of exec when the program did not run, as env(1) has them.
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

type execCmd struct {
	Device   []string `placeholder:"ID" help:"Device of IOTHUB_DEVICE_CONNECTION_STRING; see env. With --start, devices to create, repeatable; the first one is that."`
	MapHosts bool     `help:"Linux: let the hub's names lead to the emulator for this program only, through a hosts file of its own. Needs no root."`
	MapHost  []string `placeholder:"NAME" help:"A further name to map, repeatable, such as hub1.azure-devices.net. Implies --map-hosts."`
	Start    bool     `help:"Start an emulator of the program's own, in memory unless --data is given, and stop it when the program ends."`
	Record   string   `placeholder:"FILE" help:"With --start: write what happens there, as record does."`
	LogFile  string   `placeholder:"FILE" help:"With --start: write the emulator's log there; else warnings go to standard error, unless --log-level asks for more."`
	Settings `group:"With --start, the settings of start:"`
	Command  []string `arg:"" passthrough:"" help:"The program and its arguments, after --."`
}

// Run runs the program. Its exit code becomes ours.
func (c *execCmd) Run(a *app) error {
	command := c.Command
	if command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		return usagef("exec needs a program: hubnerite exec -- PROGRAM ARGUMENTS")
	}
	if c.Start {
		return c.runStarted(a, command)
	}
	if err := c.onlyWithStart(a.sources); err != nil {
		return err
	}
	return c.run(a, command, replaceProcess)
}

// run runs the program with the variables of the running emulator, with run when it needs no hosts file of its own.
func (c *execCmd) run(a *app, command []string, run func(path string, command, environment []string) error) error {
	device := ""
	if len(c.Device) > 0 {
		device = c.Device[0]
	}
	variables, err := a.variables(device)
	if err != nil {
		return err
	}
	environment := os.Environ()
	for _, v := range variables {
		environment = setVariable(environment, v)
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		_, _ = fmt.Fprintf(a.stderr, "hubnerite: %v\n", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return exitCode(exitNotFound)
		}
		return exitCode(exitCannotRun)
	}
	if !c.MapHosts && len(c.MapHost) == 0 {
		return run(path, command, environment)
	}
	info, err := a.info()
	if err != nil {
		return err
	}
	names := namesToMap(info, c.MapHost)
	if len(names) == 0 {
		return usagef("--map-hosts has nothing to map: start the emulator with --hostname NAME, or give --map-host NAME")
	}
	return runWithHosts(path, command, environment, a.emulatorAddress(), names)
}

// setVariable sets a variable in an environment, once.
func setVariable(environment []string, v variable) []string {
	kept := make([]string, 0, len(environment)+1)
	for _, entry := range environment {
		if !strings.HasPrefix(entry, v.name+"=") {
			kept = append(kept, entry)
		}
	}
	return append(kept, v.name+"="+v.value)
}

// exitOf turns the end of a child process into our own.
func exitOf(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if code := exit.ExitCode(); code >= 0 {
		return exitCode(code)
	}
	return exitCode(128 + signalOf(exit.ProcessState))
}

// runWithHostsCmd is how exec calls itself inside the new namespaces.
type runWithHostsCmd struct {
	Hosts   string   `arg:""`
	Path    string   `arg:""`
	Command []string `arg:"" passthrough:""`
}

// Run puts the hosts file in place and becomes the program.
func (c *runWithHostsCmd) Run(*app) error {
	command := c.Command
	if command[0] == "--" {
		command = command[1:]
	}
	return becomeWithHosts(c.Hosts, c.Path, command)
}
