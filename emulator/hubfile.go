package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hubnerite/hubnerite/emulator/trust"
	"github.com/hubnerite/hubnerite/store"
)

// What the data directory holds of hubs besides the default one's stores.
const (
	// hubsDir holds a folder for each hub made at run time.
	hubsDir = "hubs"
	// hubFile says what a hub is, and which of its lives is in effect.
	hubFile = "hub.json"
	// lifePrefix begins the names of folders with the stores of one life. The first life of the default hub
	// has none: its stores are in the data directory itself.
	lifePrefix = "life-"
)

// hubRecord is the content of a hubFile. The default hub has only Life: the configuration
// says the rest.
type hubRecord struct {
	Version   int                   `json:"version"`
	Life      int                   `json:"life"`
	Name      string                `json:"name,omitempty"`
	HostNames []string              `json:"hostNames,omitempty"`
	Keys      map[string]policyKeys `json:"keys,omitempty"`
	Devices   []string              `json:"devices,omitempty"`
	Groups    []string              `json:"consumerGroups,omitempty"`
}

type policyKeys struct {
	Primary   string `json:"primary"`
	Secondary string `json:"secondary"`
}

// hubRecordVersion is the layout of hubRecord that this program writes.
const hubRecordVersion = 1

// record returns what is kept of a hub.
func (h *hosted) record(life int) hubRecord {
	r := hubRecord{Version: hubRecordVersion, Life: life}
	if h.isDefault() {
		return r
	}
	r.Name, r.HostNames, r.Devices, r.Groups, r.Keys = h.name, h.hostNames, h.devices, h.groups, map[string]policyKeys{}
	for _, p := range h.policies {
		r.Keys[p.Name] = policyKeys{p.PrimaryKey, p.SecondaryKey}
	}
	return r
}

// fromRecord returns the hub of a record.
func (e *Emulator) fromRecord(r hubRecord) *hosted {
	h := &hosted{e: e, name: r.Name, hostNames: r.HostNames, policies: e.cfg.policies(), devices: r.Devices, groups: r.Groups, number: r.Life}
	for i, p := range h.policies {
		if keys, ok := r.Keys[p.Name]; ok {
			h.policies[i].PrimaryKey, h.policies[i].SecondaryKey = keys.Primary, keys.Secondary
		}
	}
	return h
}

// kept reports whether anything outlives the process.
func (e *Emulator) kept() bool { return e.cfg.DataDir != "" }

// save makes a life the one that a restart finds. It is one step: a killed process leaves the old one or the new.
func (h *hosted) save(life int) error {
	if !h.e.kept() {
		return nil
	}
	return h.e.writeJSON(filepath.Join(h.home, hubFile), h.record(life))
}

// forget removes the hub's file.
func (h *hosted) forget() error {
	if !h.e.kept() {
		return nil
	}
	return os.Remove(filepath.Join(h.home, hubFile))
}

// writeJSON replaces a file in one step, and lasts as long as the durability says.
func (e *Emulator) writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := trust.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return err
	}
	if e.cfg.Durability != string(store.DurabilityFsync) {
		return nil
	}
	return errors.Join(syncPath(path), syncPath(filepath.Dir(path)))
}

// lifeDir returns the folder of a life.
func (h *hosted) lifeDir(life int) string {
	if life == 0 {
		return h.home
	}
	return filepath.Join(h.home, lifePrefix+strconv.Itoa(life))
}

// readHubFile returns the record in a folder; ok is false when there is none.
func readHubFile(dir string) (r hubRecord, ok bool, err error) {
	ok, err = readJSON(filepath.Join(dir, hubFile), &r, func() int { return r.Version })
	return r, ok, err
}

// readJSON reads a file of writeJSON; ok is false when there is none. version returns the layout of what was read.
func readJSON(path string, v any, version func() int) (ok bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err == nil && version() > hubRecordVersion {
		err = fmt.Errorf("written by a newer version of Hubnerite (layout %d, this one reads up to %d)", version(), hubRecordVersion)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// loadHubs begins the hubs that were made at run time of an earlier process.
func (e *Emulator) loadHubs(ctx context.Context) error {
	parent := filepath.Join(e.dir, hubsDir)
	entries, err := os.ReadDir(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		home := filepath.Join(parent, entry.Name())
		r, ok, err := readHubFile(home)
		if err != nil {
			return err
		}
		if !ok {
			// Half made or half removed.
			if err := os.RemoveAll(home); err != nil {
				return err
			}
			continue
		}
		h := e.fromRecord(r)
		h.home = home
		if err := e.resume(ctx, h); err != nil {
			return fmt.Errorf("hub %s: %w", h.name, err)
		}
	}
	return nil
}

// resume begins a hub that was kept and makes it known.
func (e *Emulator) resume(ctx context.Context, h *hosted) error {
	e.hubsMu.Lock()
	defer e.hubsMu.Unlock()
	if err := e.admissible(h); err != nil {
		return err
	}
	if err := h.tidy(); err != nil {
		return err
	}
	return e.beginHosted(ctx, h, nil)
}

// tidy removes what ended lives left in the hub's folder.
func (h *hosted) tidy() error {
	entries, err := os.ReadDir(h.home)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		number, ok := strings.CutPrefix(entry.Name(), lifePrefix)
		if ok && number != strconv.Itoa(h.number) {
			if err := os.RemoveAll(filepath.Join(h.home, entry.Name())); err != nil {
				return err
			}
		}
	}
	if h.number == 0 {
		return nil
	}
	return removeAll(h.firstLife())
}

// firstLife returns the files of a life without a folder of its own.
func (h *hosted) firstLife() []string {
	return []string{filepath.Join(h.home, databaseFile), filepath.Join(h.home, telemetryDir), filepath.Join(h.home, blobsDir)}
}

// leftovers returns what belongs to a life alone.
func (h *hosted) leftovers(life int) []string {
	if life == 0 {
		return h.firstLife()
	}
	return []string{h.lifeDir(life)}
}

func removeAll(paths []string) error {
	var errs []error
	for _, path := range paths {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
