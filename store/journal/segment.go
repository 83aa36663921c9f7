package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// indexEvery is how many bytes of the journal at most lie between two entries
// of the index of a partition, as far as it has records there.
const indexEvery = 64 << 10

// entry of a sparse index: a record and where it is. Offset and time serve
// reads from an offset or a time.
type entry struct {
	sequence, offset int64
	enqueued         time.Time
	position         int64
}

// segment is one file of the journal. Everything but number, path, file, start
// and salt is under the lock of the log.
type segment struct {
	number uint64
	path   string
	file   *os.File
	start  []state
	salt   uint32
	size   int64     // of what counts: header and records
	newest time.Time // of its records, or of older ones when it has none
	// index of each partition; nil until a reader needs that of a sealed segment.
	index [][]entry
	// readers hold the file open; dropped: the last one removes it.
	readers int
	dropped bool
}

func segmentName(number uint64) string { return fmt.Sprintf("%020d.log", number) }

// note adds a record at position to the index.
func note(index [][]entry, r store.LogRecord, position int64) {
	entries := index[r.Partition]
	if n := len(entries); n == 0 || position-entries[n-1].position >= indexEvery {
		index[r.Partition] = append(entries, entry{r.SequenceNumber, r.Offset, r.EnqueuedTime, position})
	}
}

// createSegment writes the header of a new segment, in a file to recycle if
// there is one, and opens it under its final name, which it gets last.
func createSegment(dir, spare string, number uint64, states []state, durable bool) (*segment, error) {
	temporary := filepath.Join(dir, "new.tmp")
	if spare != "" {
		if err := os.Rename(spare, temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(encodeHeader(number, states), 0)
	if err == nil && durable {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, segmentName(number))
	if err := os.Rename(temporary, path); err != nil {
		return nil, err
	}
	if durable {
		if err := syncDir(dir); err != nil {
			return nil, err
		}
	}
	if f, err = os.OpenFile(path, os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	s := &segment{
		number: number, path: path, file: f, start: append([]state(nil), states...), salt: salt(number),
		size: headerSize(len(states)), index: make([][]entry, len(states)),
	}
	for _, st := range states {
		if st.lastTime.After(s.newest) {
			s.newest = st.lastTime
		}
	}
	return s, nil
}

// scan reads records from the start of the data and stops at the first that is
// not whole or not in order. It returns the states and the position behind the
// last good one, the index, and the time of the first.
func (s *segment) scan() (states []state, end int64, index [][]entry, first time.Time, err error) {
	states = append([]state(nil), s.start...)
	index = make([][]entry, len(states))
	end = headerSize(len(states))
	info, err := s.file.Stat()
	if err != nil {
		return nil, 0, nil, first, err
	}
	in := bufio.NewReaderSize(io.NewSectionReader(s.file, end, max(info.Size()-end, 0)), 256<<10)
	frame := make([]byte, frameHeader, 4096)
	salt := salt(s.number)
	for {
		frame = frame[:frameHeader]
		if _, err := io.ReadFull(in, frame); err != nil {
			return states, end, index, first, endOfFile(err)
		}
		r, n, ok := parseHeader(frame, len(states))
		if !ok || end+frameSize(n) > info.Size() {
			return states, end, index, first, nil
		}
		if cap(frame) < frameHeader+n {
			frame = append(make([]byte, 0, frameHeader+n), frame...)
		}
		frame = frame[:frameHeader+n]
		if _, err := io.ReadFull(in, frame[frameHeader:]); err != nil {
			return states, end, index, first, endOfFile(err)
		}
		r.Payload = frame[frameHeader:]
		st := &states[r.Partition]
		if !whole(salt, frame) || r.SequenceNumber < st.next || r.Offset < st.offset || r.EnqueuedTime.Before(st.lastTime) {
			return states, end, index, first, nil
		}
		if first.IsZero() {
			first = r.EnqueuedTime
		}
		note(index, r, end)
		st.advance(r)
		end += frameSize(n)
	}
}

// endOfFile makes the end of the data no error.
func endOfFile(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// The index of a sealed segment follows its records: a mark that no record
// begins with (4 bytes), then per entry partition (2), sequence number, offset,
// time and position (8 each); and at the very end of the file where the mark is
// (8), CRC-32C (4) over the segment's number and all from the mark on, and a
// magic (8).
const (
	indexMark    = 0xFFFFFFFF
	indexMagic   = "HUBNIDX1"
	indexEntry   = 34
	indexTrailer = 20
)

func (s *segment) encodeIndex(end int64, index [][]entry) []byte {
	b := binary.LittleEndian.AppendUint32(nil, indexMark)
	for p, entries := range index {
		for _, e := range entries {
			b = binary.LittleEndian.AppendUint16(b, uint16(p))
			for _, v := range []int64{e.sequence, e.offset, toMillis(e.enqueued), e.position} {
				b = binary.LittleEndian.AppendUint64(b, uint64(v))
			}
		}
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(end))
	b = binary.LittleEndian.AppendUint32(b, checksum(salt(s.number), b))
	return append(b, indexMagic...)
}

// loadIndex reads the index of a sealed segment, or makes it from the records
// when it is missing or damaged.
func (s *segment) loadIndex() (index [][]entry, end int64, err error) {
	if index, end, ok := s.readIndex(); ok {
		return index, end, nil
	}
	_, end, index, _, err = s.scan()
	return index, end, err
}

func (s *segment) readIndex() (index [][]entry, end int64, ok bool) {
	info, err := s.file.Stat()
	if err != nil || info.Size() < indexTrailer {
		return nil, 0, false
	}
	trailer := make([]byte, indexTrailer)
	if _, err := s.file.ReadAt(trailer, info.Size()-indexTrailer); err != nil || string(trailer[12:]) != indexMagic {
		return nil, 0, false
	}
	end = int64(binary.LittleEndian.Uint64(trailer))
	if end < headerSize(len(s.start)) || end > info.Size()-indexTrailer-4 {
		return nil, 0, false
	}
	b := make([]byte, info.Size()-end-indexTrailer+8)
	if _, err := s.file.ReadAt(b, end); err != nil || checksum(salt(s.number), b) != binary.LittleEndian.Uint32(trailer[8:]) {
		return nil, 0, false
	}
	index = make([][]entry, len(s.start))
	for b = b[4 : len(b)-8]; len(b) >= indexEntry; b = b[indexEntry:] {
		v := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[2+8*i:])) }
		p := int(binary.LittleEndian.Uint16(b))
		if p >= len(index) {
			return nil, 0, false
		}
		index[p] = append(index[p], entry{v(0), v(1), fromMillis(v(2)), v(3)})
	}
	return index, end, true
}

// seek returns the position of the last indexed record of the partition that
// is not after the sequence number, or of the first; false when it has none.
func seek(entries []entry, from int64) (int64, bool) {
	if len(entries) == 0 {
		return 0, false
	}
	after := sort.Search(len(entries), func(i int) bool { return entries[i].sequence > from })
	return entries[max(after-1, 0)].position, true
}
