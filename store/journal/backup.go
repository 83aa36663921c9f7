package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/hubnerite/hubnerite/store"
)

// Backup writes a folder that Open opens, with the records that were shown before the call; the log goes on working
// meanwhile. It copies every segment, so that it takes about as long as reading them; the folder must not exist.
// It is as durable as the log's writes are.
func (l *Log) Backup(dir string) error {
	if err := l.backup(dir); err != nil {
		return fmt.Errorf("journal: backup to %s: %w", dir, err)
	}
	return nil
}

func (l *Log) backup(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(meta{formatVersion, len(l.partitions)})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "meta.json"), text, 0o600)
	}
	if err != nil {
		return err
	}
	segments, last, err := l.holdSegments()
	if err != nil {
		return err
	}
	var errs []error
	for i, s := range segments {
		size := int64(-1)
		if i == len(segments)-1 {
			size = last
		}
		errs = append(errs, copySegment(s, filepath.Join(dir, segmentName(s.number)), size, l.durable()))
		l.release(s)
	}
	if l.durable() {
		errs = append(errs, syncDir(dir))
	}
	return errors.Join(errs...)
}

// holdSegments returns the segments, each to be released, and how much of the last one counts.
func (l *Log) holdSegments() (segments []*segment, last int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isClosed() {
		return nil, 0, store.ErrClosed
	}
	segments = slices.Clone(l.segments)
	for _, s := range segments {
		s.readers++
	}
	return segments, segments[len(segments)-1].size, nil
}

// copySegment copies a segment up to size, or whole if size is negative: a sealed one ends with its index.
func copySegment(s *segment, path string, size int64, durable bool) error {
	from, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if size < 0 {
		_, err = io.Copy(to, from)
	} else {
		_, err = io.CopyN(to, from, size)
	}
	if err == nil && durable {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}
