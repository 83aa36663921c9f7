package emulator_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/internal/certtest"
)

// TestRootCAs: authorities of the configuration are registered at the start.
func TestRootCAs(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	write := func(name string, text []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	now := time.Now()
	root := certtest.Root(t, "root", now)
	first := write("my factory.pem", root.PEM())
	start := func(want []string, files ...string) {
		t.Helper()
		e, err := emulator.Start(t.Context(), emulator.Config{DataDir: data, RootCAs: files})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		var names []string
		for _, ca := range e.Hub().CACertificates() {
			if names = append(names, ca.Name); !ca.Verified {
				t.Errorf("%s is not verified", ca.Name)
			}
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Error(diff)
		}
	}
	start([]string{"my-factory"}, first)
	start([]string{"my-factory"}, write("other name.pem", root.PEM()))
	second := write(strings.Repeat("n", 70)+".crt", certtest.Root(t, "second", now).PEM())
	start([]string{"my-factory", strings.Repeat("n", 64)}, first, second)
	start([]string{"my-factory", strings.Repeat("n", 64)})

	for path, want := range map[string]string{
		filepath.Join(dir, "absent.pem"):                                        "absent.pem",
		write("old.pem", certtest.Root(t, "old", now.AddDate(0, 0, -3)).PEM()):  "expired at",
		write("soon.pem", certtest.Root(t, "soon", now.AddDate(0, 0, 3)).PEM()): "not valid before",
		write("leaf.pem", root.Client(t, "d").PEM()):                            "basic constraints",
		write("text.pem", []byte("hello")):                                      "no certificate",
	} {
		_, err := emulator.Start(t.Context(), emulator.Config{RootCAs: []string{path}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%s: %v, want an error with %q", path, err, want)
		}
	}
	// The emulator's clock decides, not the machine's.
	emulatortest.Run(t, emulatortest.WithClock(func() time.Time { return now.AddDate(0, 0, 3) }),
		emulatortest.WithConfig(func(c *emulator.Config) { c.RootCAs = []string{filepath.Join(dir, "soon.pem")} }))
}
