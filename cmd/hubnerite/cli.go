package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/hubnerite/hubnerite/emulator"
)

// cli is the command line: flags, their environment twins and the help text.
type cli struct {
	AdminURL   string `placeholder:"URL" help:"Management address of the running emulator that the other commands ask (http://127.0.0.1:8484)."`
	AdminToken string `placeholder:"TEXT" help:"Token that the management API demands of everyone and that the other commands send (none)."`
	Hub        string `name:"hub" placeholder:"NAME" help:"Hub of the running emulator that the other commands are about (the default one)."`

	Start            startCmd            `cmd:"" default:"withargs" help:"Start the emulator. This is what happens without a command."`
	Device           deviceCmd           `cmd:"" help:"Create, list, show and delete devices of the running emulator."`
	Monitor          monitorCmd          `cmd:"" help:"Print telemetry and events as they come."`
	Send             sendCmd             `cmd:"" help:"Send telemetry as a device, over MQTT."`
	C2D              c2dCmd              `cmd:"" name:"c2d" help:"Send cloud-to-device messages."`
	Method           methodCmd           `cmd:"" help:"Call a direct method of a device and print its answer."`
	Twin             twinCmd             `cmd:"" help:"Print or change the twin of a device."`
	ConnectionString connectionStringCmd `cmd:"" help:"Print a connection string."`
	Wait             waitCmd             `cmd:"" help:"Wait for messages, feedback, methods, twin changes, connections and refusals, by filters."`
	Record           recordCmd           `cmd:"" help:"Write what happens to a file, until Ctrl-C."`
	Replay           replayCmd           `cmd:"" help:"Do again what was recorded, as fast as it was or at another speed."`
	Fault            faultCmd            `cmd:"" help:"Make things go wrong by rules: refuse, delay, drop, disconnect and more."`
	Clock            clockCmd            `cmd:"" help:"Show, stop, set and advance the clock by which things expire."`
	Hubs             hubCmd              `cmd:"" name:"hub" help:"Make, list, remove and reset hubs of the running emulator."`
	Snapshot         snapshotCmd         `cmd:"" help:"Keep the state of hubs and restore it."`
	Reset            resetCmd            `cmd:"" help:"Make a hub what it was when it began."`
	Env              envCmd              `cmd:"" help:"Print the variables that make programs trust and find the emulator: eval \"$(hubnerite env)\"."`
	Exec             execCmd             `cmd:"" help:"Run a program with these variables."`
	Seed             seedCmd             `cmd:"" help:"Check seed files, apply them to the running emulator, print their schema."`
	Export           exportCmd           `cmd:"" help:"Write the state of the running emulator, or of the hub of --hub as if it were the default one, as a seed file."`
	CA               caCmd               `cmd:"" name:"ca" help:"Print the certificate authority that clients must trust; register those of devices, and issue certificates."`
	Hosts            hostsCmd            `cmd:"" help:"Print the hosts-file lines for the hub's names."`
	Health           healthCmd           `cmd:"" help:"Succeed when the emulator is ready."`
	Doctor           doctorCmd           `cmd:"" help:"Look for what keeps programs from using the emulator, and say how to mend it."`
	Version          versionCmd          `cmd:"" help:"Print the version."`
	Help             helpCmd             `cmd:"" help:"Show the help of a command."`
	Completion       completionCmd       `cmd:"" help:"Print the script by which a shell completes commands and flags."`
	Complete         completeCmd         `cmd:"" hidden:""`
	RunWithHosts     runWithHostsCmd     `cmd:"" hidden:""`
}

// environmentPrefix begins the name of every environment variable that we read.
const environmentPrefix = "HUBNERITE_"

// environmentTwins gives every flag its variable. The flags of start, which is
// the default command, have HUBNERITE_ and their own name; those of another command
// have the command's name between (but for the default among a command's own, as "ca show"), so that a container's HUBNERITE_DEVICE means
// nothing to "connection-string --device". The settings that exec shares with start have the variables of start.
func environmentTwins() kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		var walk func(n *kong.Node, prefix string)
		walk = func(n *kong.Node, prefix string) {
			for _, flag := range n.Flags {
				if flag.Name != "help" {
					name := prefix + environmentName(flag.Name)
					if flag.Group != nil {
						name = environmentPrefix + environmentName(flag.Name)
					}
					flag.Envs, flag.Tag.Envs = []string{name}, []string{name}
				}
			}
			for _, child := range n.Children {
				childPrefix := prefix
				if child != n.DefaultCmd {
					childPrefix += environmentName(child.Name) + "_"
				}
				walk(child, childPrefix)
			}
		}
		walk(k.Model.Node, environmentPrefix)
		return nil
	})
}

func environmentName(flag string) string {
	return strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// flagSources says for each flag of the chosen command whether the command line
// or the environment set it.
func flagSources(c *kong.Context) map[string]string {
	sources := map[string]string{}
	for _, flag := range c.Flags() {
		for _, name := range flag.Envs {
			if _, ok := os.LookupEnv(name); ok {
				sources[flag.Name] = "environment"
			}
		}
	}
	for _, p := range c.Path {
		if p.Flag != nil && !p.Resolved {
			sources[p.Flag.Name] = "flag"
		}
	}
	return sources
}

// defaultDataDir returns the platform's place for data of a user's program:
// XDG_DATA_HOME or ~/.local/share, ~/Library/Application Support, %LocalAppData%.
func defaultDataDir() string {
	home, _ := os.UserHomeDir()
	base := ""
	switch runtime.GOOS {
	case "windows":
		base = os.Getenv("LocalAppData")
	case "darwin", "ios":
		if home != "" {
			base = filepath.Join(home, "Library", "Application Support")
		}
	default:
		base = os.Getenv("XDG_DATA_HOME")
		if base == "" && home != "" {
			base = filepath.Join(home, ".local", "share")
		}
	}
	if base == "" {
		return ""
	}
	return filepath.Join(base, "hubnerite")
}

// defaultAdminURL is where an emulator with the defaults, or with the admin port
// that the environment sets, listens on this machine.
func defaultAdminURL() string {
	port := os.Getenv(environmentPrefix + "ADMIN_PORT")
	if port == "" || port == "0" {
		port = fmt.Sprint(emulator.DefaultAdminPort)
	}
	return "http://127.0.0.1:" + port
}

// programName is how the person at the keyboard calls this program.
func programName() string {
	executable, err := os.Executable()
	if err == nil && strings.Contains(executable, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/hubnerite"
	}
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return "hubnerite"
}
