package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/internal/filelock"
	"github.com/hubnerite/hubnerite/store"
)

// formatVersion is the layout of the files that this package writes.
const formatVersion = 1

// meta is the content of meta.json.
type meta struct {
	Version    int `json:"version"`
	Partitions int `json:"partitions"`
}

// Open opens or creates the journal in a folder. It returns store.ErrLocked when
// another process has it open and ErrNewerFormat when it cannot read it. It
// reads the headers of all segments and scans the last one.
func Open(dir string, o Options) (*Log, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := filelock.Lock(filepath.Join(dir, "lock"))
	if errors.Is(err, filelock.ErrLocked) {
		err = store.ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("journal: open %s: %w", dir, err)
	}
	l := &Log{
		dir: dir, lock: lock, closed: make(chan struct{}), wake: make(chan struct{}, 1),
		sweep: make(chan chan struct{}), stopped: make(chan struct{}),
	}
	l.w.writeAt = (*os.File).WriteAt
	l.w.sync = syncData
	if err := l.recover(o); err != nil {
		for _, s := range l.segments {
			_ = s.file.Close()
		}
		return nil, errors.Join(fmt.Errorf("journal: open %s: %w", dir, err), lock.Close())
	}
	go l.commitLoop()
	return l, nil
}

func (l *Log) recover(o Options) error {
	partitions, err := loadMeta(l.dir, o)
	if err != nil {
		return err
	}
	o.Partitions = partitions
	l.options = o
	l.partitions = make([]partition, partitions)
	l.buffered = make([]int64, partitions)
	numbers, err := l.listSegments()
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if err := l.openSegment(number); err != nil {
			return err
		}
	}
	l.w.states = make([]state, partitions)
	for p := range l.w.states {
		l.w.states[p].last = -1
	}
	if len(l.segments) == 0 {
		number := uint64(1)
		if n := len(numbers); n > 0 {
			number = numbers[n-1] + 1
		}
		s, err := createSegment(l.dir, "", number, l.w.states, l.durable())
		if err != nil {
			return err
		}
		l.segments = append(l.segments, s)
		l.w.segment, l.w.position, l.w.filled = s, s.size, s.size
	} else if err := l.recoverLast(); err != nil {
		return err
	}
	for i, s := range l.segments[:len(l.segments)-1] {
		for _, st := range l.segments[i+1].start {
			if st.lastTime.After(s.newest) {
				s.newest = st.lastTime
			}
		}
	}
	for p, st := range l.w.states {
		l.partitions[p] = partition{next: st.next, last: st.last, lastTime: st.lastTime}
	}
	return nil
}

// loadMeta returns the number of partitions, which it stores for a new log.
func loadMeta(dir string, o Options) (int, error) {
	path := filepath.Join(dir, "meta.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		data, err = json.Marshal(meta{formatVersion, o.Partitions})
		if err == nil {
			err = writeFile(path, data, o.Durability == store.DurabilityFsync)
		}
		return o.Partitions, err
	}
	if err != nil {
		return 0, err
	}
	var m meta
	if err := json.Unmarshal(data, &m); err != nil {
		return 0, fmt.Errorf("meta.json: %w", err)
	}
	if m.Version > formatVersion {
		return 0, fmt.Errorf("%w: layout %d, this one reads up to %d", ErrNewerFormat, m.Version, formatVersion)
	}
	if m.Version < 1 || m.Partitions < MinPartitions || m.Partitions > MaxPartitions {
		return 0, fmt.Errorf("meta.json: %d partitions in layout %d", m.Partitions, m.Version)
	}
	if m.Partitions != o.Partitions {
		o.Logger.Warn("journal: the number of partitions was fixed when the log was created",
			"partitions", m.Partitions, "asked", o.Partitions)
	}
	return m.Partitions, nil
}

// writeFile replaces a file in one step.
func writeFile(path string, data []byte, durable bool) error {
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && durable {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil || !durable {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// listSegments returns the numbers of the segments in order and clears away
// what was left unfinished.
func (l *Log) listSegments() ([]uint64, error) {
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, f := range files {
		switch filepath.Ext(f.Name()) {
		case ".tmp":
			if err := os.Remove(filepath.Join(l.dir, f.Name())); err != nil {
				return nil, err
			}
		case ".log":
			number, err := strconv.ParseUint(strings.TrimSuffix(f.Name(), ".log"), 10, 64)
			if err != nil || segmentName(number) != f.Name() {
				return nil, fmt.Errorf("%s is no segment", f.Name())
			}
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// openSegment opens a segment and reads its header. One whose header is damaged,
// as a power cut may leave it, is set aside.
func (l *Log) openSegment(number uint64) error {
	path := filepath.Join(l.dir, segmentName(number))
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	header := make([]byte, headerSize(len(l.partitions)))
	n, err := f.ReadAt(header, 0)
	if endOfFile(err) != nil {
		return errors.Join(err, f.Close())
	}
	start, ok := decodeHeader(header[:n], number, len(l.partitions))
	if ok && len(l.segments) > 0 {
		// Numbers never go back, whatever the files say.
		for p, before := range l.segments[len(l.segments)-1].start {
			ok = ok && start[p].next >= before.next && start[p].offset >= before.offset
		}
	}
	if !ok {
		l.options.Logger.Error("journal: a segment is damaged and was set aside", "file", path+".damaged")
		if err := f.Close(); err != nil {
			return err
		}
		return os.Rename(path, path+".damaged")
	}
	l.segments = append(l.segments, &segment{number: number, path: path, file: f, start: start, salt: salt(number), size: info.Size()})
	return nil
}

// recoverLast finds the end of the journal and cuts off what follows it.
func (l *Log) recoverLast() error {
	s := l.segments[len(l.segments)-1]
	states, end, index, first, err := s.scan()
	if err != nil {
		return err
	}
	if s.size != end {
		l.options.Logger.Debug("journal: the end was cut", "segment", s.number, "at", end, "was", s.size)
		if err := s.file.Truncate(end); err != nil {
			return err
		}
		if l.durable() {
			if err := s.file.Sync(); err != nil {
				return err
			}
		}
	}
	s.size, s.index = end, index
	s.newest = time.Time{}
	for _, st := range states {
		if st.lastTime.After(s.newest) {
			s.newest = st.lastTime
		}
	}
	l.w.segment, l.w.position, l.w.filled = s, end, end
	l.w.states, l.w.since = states, first
	return nil
}
