package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hubnerite/hubnerite/emulator"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hubnerite": main})
}

// TestScripts runs the command lines in testdata/script. There every emulator
// gets free ports, from the environment.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, entry := range e.Vars {
				if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, environmentPrefix) {
					e.Setenv(name, "")
				}
			}
			for _, name := range []string{"MQTT", "AMQP", "AMQP_PLAIN", "HTTPS", "ADMIN"} {
				e.Setenv(environmentPrefix+name+"_PORT", "0")
			}
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "share"))
			e.Setenv("SHELL", "/bin/sh")
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "namespaces" {
				return exec.Command("unshare", "-m", "true").Run() == nil || exec.Command("unshare", "-Um", "true").Run() == nil, nil
			}
			return false, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready":    ready,
			"readyvar": readyVariable,
			"gone":     gone,
		},
	})
}

// ready waits until the ready file is there and points HUBNERITE_ADMIN_URL at
// its emulator.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err == nil {
			var info emulator.Info
			// Whoever sees the file sees all of it.
			ts.Check(json.Unmarshal(text, &info))
			ts.Setenv("HUBNERITE_ADMIN_URL", info.AdminURL)
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("no ready file: %v", err)
		}
	}
}

// readyVariable sets a variable to a member of the ready file, such as devices.d1.
func readyVariable(ts *testscript.TestScript, _ bool, args []string) {
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &value))
	for name := range strings.SplitSeq(args[1], ".") {
		members, ok := value.(map[string]any)
		if !ok || members[name] == nil {
			ts.Fatalf("%s has no %s", args[0], args[1])
		}
		value = members[name]
	}
	text, ok := value.(string)
	if !ok {
		encoded, err := json.Marshal(value)
		ts.Check(err)
		text = string(encoded)
	}
	ts.Setenv(args[2], text)
}

// gone waits until a file is not there any more.
func gone(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); os.IsNotExist(err) {
			return
		}
	}
	ts.Fatalf("%s is still there", args[0])
}
