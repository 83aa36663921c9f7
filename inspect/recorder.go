package inspect

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is kept; the oldest goes first.
const (
	// maxFrames are kept of one connection.
	maxFrames = 2000
	// maxBytes are kept of all connections together.
	maxBytes = 32 << 20
	// maxFrameBytes are kept of a frame; of a longer one its beginning.
	maxFrameBytes = 16 << 10
	// maxEnded are the connections that are remembered after their end.
	maxEnded = 200
)

// Recorder keeps the last frames of connections while it watches. It is safe for concurrent use.
type Recorder struct {
	now func() time.Time
	// watch numbers the recordings; 0 while there is none.
	watch atomic.Int64

	mu   sync.Mutex
	last int // number of the newest connection
	// watches counts the recordings.
	watches int64
	conns   map[string]*connection
	// byAddress finds the connections of HTTP by protocol and address.
	byAddress map[string]string
	// ended are the IDs of connections that are over, oldest first.
	ended []string
	// kept are the frames of all connections in the order of their arrival, for what must go; bytes is their size.
	kept  []keptFrame
	bytes int
}

type keptFrame struct {
	c *connection
	f *frame
}

// frame is a recorded frame.
type frame struct {
	number    int64
	time      time.Time
	direction Direction
	size      int
	raw       []byte // its beginning
}

// connection is one connection and what is kept of it. The recorder's mu guards what is not atomic.
type connection struct {
	id, protocol, remote, local string
	opened                      time.Time
	closed                      time.Time
	codec                       Codec
	label                       string
	bytesIn, bytesOut           atomic.Int64
	number                      int64
	frames                      []*frame
}

// NewRecorder returns a recorder that does not watch yet. now is for time stamps; nil means time.Now.
func NewRecorder(now func() time.Time) *Recorder {
	if now == nil {
		now = time.Now
	}
	return &Recorder{now: now, conns: map[string]*connection{}, byAddress: map[string]string{}}
}

// Watching reports whether frames are recorded.
func (r *Recorder) Watching() bool { return r.watch.Load() != 0 }

// Watch starts or stops the recording. What was recorded is forgotten when it starts.
func (r *Recorder) Watch(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !on:
		r.watch.Store(0)
	case !r.Watching():
		for _, c := range r.conns {
			c.frames = nil
		}
		for _, id := range r.ended {
			if c := r.conns[id]; c != nil {
				r.forget(c)
			}
		}
		r.kept, r.bytes, r.ended = nil, 0, nil
		r.watches++
		r.watch.Store(r.watches)
	}
}

// open enters a connection.
func (r *Recorder) open(protocol string, remote, local net.Addr, codec Codec) *connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	c := &connection{id: protocol + "-" + strconv.Itoa(r.last), protocol: protocol, opened: r.now(), codec: codec}
	if remote != nil {
		c.remote = remote.String()
	}
	if local != nil {
		c.local = local.String()
	}
	r.conns[c.id] = c
	return c
}

// end notes that a connection is over; it may be called again.
func (r *Recorder) end(c *connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.closed.IsZero() {
		return
	}
	c.closed = r.now()
	if len(c.frames) == 0 {
		delete(r.conns, c.id)
		return
	}
	r.forgetLater(c)
}

// forgetLater lets a connection go once there are too many newer ones of which that was said. Its caller holds mu.
func (r *Recorder) forgetLater(c *connection) {
	r.ended = append(r.ended, c.id)
	if len(r.ended) > maxEnded {
		if oldest := r.conns[r.ended[0]]; oldest != nil {
			r.forget(oldest)
		}
		r.ended = slices.Delete(r.ended, 0, 1)
	}
}

// forget drops a connection. Its caller holds mu.
func (r *Recorder) forget(c *connection) {
	c.frames = nil
	delete(r.conns, c.id)
	delete(r.byAddress, c.protocol+" "+c.remote)
}

// add records a frame of size bytes, of which raw are the first; it keeps raw.
func (r *Recorder) add(c *connection, d Direction, size int, raw []byte) {
	r.record(c, d, r.now(), size, raw)
}

func (r *Recorder) record(c *connection, d Direction, at time.Time, size int, raw []byte) {
	label := describe(c.codec, raw).Label
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.label == "" {
		c.label = label
	}
	c.number++
	f := &frame{c.number, at, d, size, raw}
	c.frames = append(c.frames, f)
	r.kept = append(r.kept, keptFrame{c, f})
	r.bytes += len(raw)
	if len(c.frames) > maxFrames {
		c.frames = slices.Delete(c.frames, 0, 1)
	}
	for r.bytes > maxBytes {
		oldest := r.kept[0]
		r.kept[0] = keptFrame{}
		r.kept = r.kept[1:]
		r.bytes -= len(oldest.f.raw)
		if len(oldest.c.frames) > 0 && oldest.c.frames[0] == oldest.f {
			oldest.c.frames = slices.Delete(oldest.c.frames, 0, 1)
		}
	}
}

// describe decodes a frame. A mistake in a codec must not end the emulator: what a frame does to it is said in the frame's place.
func describe(codec Codec, raw []byte) (d Description) {
	defer func() {
		if failure := recover(); failure != nil {
			d = Description{Type: "unreadable", Summary: fmt.Sprint("the inspector failed: ", failure)}
		}
	}()
	return codec.Describe(raw)
}

// Connection describes a connection.
type Connection struct {
	ID, Protocol, Label         string
	RemoteAddress, LocalAddress string
	Opened                      time.Time
	Closed                      time.Time // zero while it is open
	BytesIn, BytesOut           int64
	Frames                      int64 // recorded, of which the last are kept
	newest                      int
}

// Connections returns the connections, the newest first.
func (r *Recorder) Connections() []Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Connection, 0, len(r.conns))
	for _, c := range r.conns {
		list = append(list, c.describe())
	}
	slices.SortFunc(list, func(a, b Connection) int { return cmp.Or(b.Opened.Compare(a.Opened), cmp.Compare(b.newest, a.newest)) })
	return list
}

func (c *connection) describe() Connection {
	number, _ := strconv.Atoi(c.id[len(c.protocol)+1:])
	return Connection{
		ID: c.id, Protocol: c.protocol, Label: c.label, RemoteAddress: c.remote, LocalAddress: c.local, Opened: c.opened, Closed: c.closed,
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(), Frames: c.number, newest: number,
	}
}

// Frame is a recorded frame, decoded.
type Frame struct {
	// Number rises by one in the connection.
	Number    int64
	Time      time.Time
	Direction Direction
	// Size in bytes; of a frame longer than 16 KiB only the beginning is kept, which may say less.
	Size      int
	Truncated bool
	Raw       []byte
	Description
}

// Frames returns up to limit frames of a connection after the number since; false for an unknown one.
func (r *Recorder) Frames(id string, since int64, limit int) (Connection, []Frame, bool) {
	r.mu.Lock()
	c := r.conns[id]
	if c == nil {
		r.mu.Unlock()
		return Connection{}, nil, false
	}
	about := c.describe()
	from, _ := slices.BinarySearchFunc(c.frames, since+1, func(f *frame, n int64) int { return cmp.Compare(f.number, n) })
	frames := slices.Clone(c.frames[from:min(len(c.frames), from+limit)])
	r.mu.Unlock()
	decoded := make([]Frame, 0, len(frames))
	for _, f := range frames {
		one := Frame{Number: f.number, Time: f.time, Direction: f.direction, Size: f.size, Truncated: f.size > len(f.raw), Raw: f.raw}
		one.Description = describe(c.codec, f.raw)
		decoded = append(decoded, one)
	}
	return about, decoded, true
}
