package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/store/memory"
)

// SnapshotInfo describes a snapshot.
type SnapshotInfo = admin.SnapshotInfo

const (
	// snapshotsDir holds a folder for each snapshot.
	snapshotsDir = "snapshots"
	snapshotFile = "snapshot.json"
)

// snapshot is the state of hubs at one time each.
type snapshot struct {
	name    string
	created time.Time
	hubs    []*savedHub
	// dir holds the files.
	dir string
}

// savedHub is the state of one hub.
type savedHub struct {
	record hubRecord
	// first says that it was the default hub.
	first bool
	name  string
	// dir holds the files; content is what is in memory, nil with a data directory.
	dir     string
	content *memory.Store
	// simulations are those that ran.
	simulations []seed.Simulation
}

// snapshotRecord is the content of a snapshotFile.
type snapshotRecord struct {
	Version int              `json:"version"`
	Name    string           `json:"name"`
	Created time.Time        `json:"created"`
	Hubs    []savedHubRecord `json:"hubs"`
}

type savedHubRecord struct {
	Name    string    `json:"name"`
	Default bool      `json:"default,omitempty"`
	Hub     hubRecord `json:"hub"`
	// Simulations are in the form of a seed file.
	Simulations []json.RawMessage `json:"simulations,omitempty"`
}

func snapshotName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) }

// Snapshot keeps the state of a hub ("" is the default one) or of AllHubs under a name, in the place of
// an earlier snapshot of that name: identities, keys, twins, messages, documents, telemetry with its positions, files, and which
// simulations run. What is connected or in progress is not in it. Clients notice nothing. With a data directory it is there after a restart.
func (e *Emulator) Snapshot(_ context.Context, name, hubName string) (SnapshotInfo, error) {
	if !snapshotName().MatchString(name) {
		return SnapshotInfo{}, &admin.Refusal{
			Status:  http.StatusBadRequest,
			Message: fmt.Sprintf("%.64q is not the name of a snapshot: 1 to 64 letters, digits, dots, hyphens and underscores.", name),
		}
	}
	hubs, err := e.chosen(hubName)
	if err != nil {
		return SnapshotInfo{}, err
	}
	e.snapshotsMu.Lock()
	defer e.snapshotsMu.Unlock()
	s := &snapshot{name: name, created: e.clock.Real().UTC().Truncate(time.Millisecond)}
	parent := filepath.Join(e.dir, snapshotsDir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return SnapshotInfo{}, err
	}
	if s.dir, err = os.MkdirTemp(parent, name+"~"); err != nil {
		return SnapshotInfo{}, err
	}
	for i, h := range hubs {
		saved, saveErr := h.saveTo(filepath.Join(s.dir, strconv.Itoa(i)))
		if saveErr != nil {
			return SnapshotInfo{}, errors.Join(fmt.Errorf("hub %s: %w", h.name, saveErr), os.RemoveAll(s.dir))
		}
		s.hubs = append(s.hubs, saved)
	}
	if e.kept() {
		record, err := s.toRecord()
		if err == nil {
			err = e.writeJSON(filepath.Join(s.dir, snapshotFile), record)
		}
		if err != nil {
			return SnapshotInfo{}, errors.Join(err, os.RemoveAll(s.dir))
		}
	}
	old := e.snapshots[name]
	e.snapshots[name] = s
	if old != nil {
		err = os.RemoveAll(old.dir)
	}
	return s.info(), err
}

// saveTo copies the hub's state to a folder that does not exist.
func (h *hosted) saveTo(dir string) (*savedHub, error) {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.gone {
		return nil, noHub(h.name)
	}
	l := h.now.Load()
	saved := &savedHub{record: h.record(0), first: h.isDefault(), name: h.name, dir: dir}
	// Before the rest: the devices of a simulation are there before it is.
	for _, s := range l.simulator.List() {
		saved.simulations = append(saved.simulations, s.Spec)
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		saved.content, err = l.stores.copyTo(dir)
	}
	if err == nil {
		err = linkTree(filepath.Join(l.dir, blobsDir), filepath.Join(dir, blobsDir))
	}
	return saved, err
}

// copyTo puts the files of a saved hub into an empty folder.
func (s *savedHub) copyTo(dir string) error {
	if s.content == nil {
		err := copyFile(filepath.Join(s.dir, databaseFile), filepath.Join(dir, databaseFile))
		if err == nil {
			err = copyTree(filepath.Join(s.dir, telemetryDir), filepath.Join(dir, telemetryDir), copyFile)
		}
		if err != nil {
			return err
		}
	}
	return linkTree(filepath.Join(s.dir, blobsDir), filepath.Join(dir, blobsDir))
}

// simulate begins what ran, in a life that has the hub's state. Counters, sequences and random numbers begin anew.
func (s *savedHub) simulate(ctx context.Context, l *life) error {
	for _, spec := range s.simulations {
		if err := l.simulator.Resume(ctx, spec); err != nil {
			return fmt.Errorf("simulation %s: %w", spec.ID(), err)
		}
	}
	return nil
}

// linkTree copies a folder of files that are replaced, never changed.
func linkTree(from, to string) error {
	return copyTree(from, to, func(from, to string) error {
		err := os.Link(from, to)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil // or replaced meanwhile: what came after does not count
		}
		return copyFile(from, to)
	})
}

func copyTree(from, to string, copyOne func(from, to string) error) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != from {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copyOne(path, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Snapshots returns what snapshots there are, by name.
func (e *Emulator) Snapshots() []SnapshotInfo {
	e.snapshotsMu.Lock()
	defer e.snapshotsMu.Unlock()
	infos := []SnapshotInfo{}
	for _, name := range slices.Sorted(maps.Keys(e.snapshots)) {
		infos = append(infos, e.snapshots[name].info())
	}
	return infos
}

// SnapshotInfo describes a snapshot.
func (e *Emulator) SnapshotInfo(name string) (SnapshotInfo, error) {
	e.snapshotsMu.Lock()
	defer e.snapshotsMu.Unlock()
	s := e.snapshots[name]
	if s == nil {
		return SnapshotInfo{}, noSnapshot(name)
	}
	return s.info(), nil
}

// DeleteSnapshot forgets a snapshot.
func (e *Emulator) DeleteSnapshot(name string) error {
	e.snapshotsMu.Lock()
	defer e.snapshotsMu.Unlock()
	s := e.snapshots[name]
	if s == nil {
		return noSnapshot(name)
	}
	delete(e.snapshots, name)
	return os.RemoveAll(s.dir)
}

// Restore makes hubs what they were at a snapshot: the one of hubName ("" is the default one), or for AllHubs each that is
// in it. A hub that was removed since comes back; others stay as they are. Clients are disconnected as by Reset.
func (e *Emulator) Restore(ctx context.Context, name, hubName string) error {
	e.snapshotsMu.Lock()
	defer e.snapshotsMu.Unlock()
	s := e.snapshots[name]
	if s == nil {
		return noSnapshot(name)
	}
	saved := s.hubs
	if hubName != AllHubs {
		one, err := e.savedHub(s, hubName)
		if err != nil {
			return err
		}
		saved = []*savedHub{one}
	}
	var (
		changes []*change
		missing []*savedHub
	)
	for _, one := range saved {
		h := e.first
		if !one.first {
			h = e.named(one.name)
		}
		if h == nil {
			missing = append(missing, one)
			continue
		}
		changes = append(changes, &change{h: h, from: one})
	}
	return e.replace(ctx, changes, func() error { return e.hostAgain(ctx, missing) })
}

// hostAgain brings back hubs that were removed, all or none.
func (e *Emulator) hostAgain(ctx context.Context, missing []*savedHub) error {
	for i, from := range missing {
		if _, err := e.host(ctx, e.fromRecord(from.record), from); err != nil {
			err = fmt.Errorf("hub %s: %w", from.name, err)
			for _, made := range missing[:i] {
				err = errors.Join(err, e.DeleteHub(ctx, made.name))
			}
			return err
		}
	}
	return nil
}

// savedHub returns the state of a hub in a snapshot; "" is the default one.
func (e *Emulator) savedHub(s *snapshot, name string) (*savedHub, error) {
	for _, saved := range s.hubs {
		if saved.first && (name == "" || e.named(name) == e.first) || strings.EqualFold(saved.name, name) {
			return saved, nil
		}
	}
	if name == "" {
		name = e.first.name
	}
	return nil, &admin.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("The snapshot %s has nothing of the hub %.64q.", s.name, name)}
}

func noSnapshot(name string) error {
	return &admin.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("There is no snapshot %.64q; GET /snapshots lists them.", name)}
}

func (s *snapshot) info() SnapshotInfo {
	info := SnapshotInfo{Name: s.name, Created: iothub.FormatTime(s.created)}
	for _, h := range s.hubs {
		info.Hubs = append(info.Hubs, h.name)
	}
	return info
}

func (s *snapshot) toRecord() (snapshotRecord, error) {
	r := snapshotRecord{Version: hubRecordVersion, Name: s.name, Created: s.created}
	for _, h := range s.hubs {
		one := savedHubRecord{Name: h.name, Default: h.first, Hub: h.record}
		for _, spec := range h.simulations {
			text, err := specText(spec)
			if err != nil {
				return r, err
			}
			one.Simulations = append(one.Simulations, text)
		}
		r.Hubs = append(r.Hubs, one)
	}
	return r, nil
}

// fromRecord returns the saved hubs of a record.
func (s *snapshot) fromRecord(r snapshotRecord) error {
	for i, h := range r.Hubs {
		saved := &savedHub{record: h.Hub, first: h.Default, name: h.Name, dir: filepath.Join(s.dir, strconv.Itoa(i))}
		for _, text := range h.Simulations {
			spec, err := seed.ParseSimulation(text)
			if err != nil {
				return fmt.Errorf("snapshot %s: %w", s.name, err)
			}
			saved.simulations = append(saved.simulations, spec)
		}
		s.hubs = append(s.hubs, saved)
	}
	return nil
}

// loadSnapshots finds the snapshots of earlier processes.
func (e *Emulator) loadSnapshots() error {
	e.snapshots = map[string]*snapshot{}
	parent := filepath.Join(e.dir, snapshotsDir)
	entries, err := os.ReadDir(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		dir := filepath.Join(parent, entry.Name())
		var r snapshotRecord
		ok, err := readJSON(filepath.Join(dir, snapshotFile), &r, func() int { return r.Version })
		if err != nil {
			return err
		}
		unwanted := dir
		if ok {
			s := &snapshot{name: r.Name, created: r.Created, dir: dir}
			if err := s.fromRecord(r); err != nil {
				return err
			}
			// A process that was killed between two of one name left both.
			unwanted = ""
			if old := e.snapshots[r.Name]; old != nil {
				unwanted = old.dir
				if old.created.After(s.created) {
					unwanted, s = dir, old
				}
			}
			e.snapshots[r.Name] = s
		}
		if unwanted != "" {
			if err := os.RemoveAll(unwanted); err != nil {
				return err
			}
		}
	}
	return nil
}
