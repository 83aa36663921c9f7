package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/clock"
	"github.com/hubnerite/hubnerite/emulator/trust"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/inspect"
	"github.com/hubnerite/hubnerite/internal/filelock"
	"github.com/hubnerite/hubnerite/internal/halfopen"
)

// sweepInterval is how often the hub looks for what is due: expired messages
// and locks, feedback, ended tokens. It bounds how late those are.
const sweepInterval = 500 * time.Millisecond

// Emulator is a running emulator. It is safe for concurrent use.
type Emulator struct {
	cfg     Config
	clock   *clock.Clock
	notices []string
	trust   *trust.Server
	// first is the default hub, which the configuration describes; hubs are those made at run time.
	first *hosted
	hubs  atomic.Pointer[hubTable]
	// hubsMu is held while a hub is made or removed; closed says that none is made any more.
	hubsMu sync.Mutex
	closed bool
	// reseed fills a hub that was reset; nil when there is no seed.
	reseed reseeder
	// snapshotsMu is held while one is made, removed or used. It is locked before hubsMu.
	snapshotsMu sync.Mutex
	snapshots   map[string]*snapshot
	// empty is a database without records.
	empty     []byte
	emptyErr  error
	emptyOnce sync.Once
	// retiring are the stores of lives that ended.
	retiring sync.WaitGroup
	// covered are the names of the server certificate.
	covered trust.Names
	// containers opens the blob containers of jobs.
	containers hub.Containers
	seeding    seeding
	// dir holds the files; issuing is held while a certificate for tests is made.
	dir     string
	issuing sync.Mutex

	// inspector looks at connections.
	inspector *inspect.Recorder

	listeners map[string]net.Listener
	// closers undo Start, last one first.
	closers []closer
	// running are the loops of the listeners.
	running sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
	failed    chan error

	mu     sync.Mutex
	broken []string // listeners that stopped serving
}

// closer is a step of Close. A step that waits for clients gives up when its
// context ends.
type closer struct {
	name string
	do   func(context.Context) error
}

// Start starts an emulator and returns once every listener is bound and served
// and the configured devices exist. ctx bounds the start only. An error leaves
// nothing behind but the data directory.
func Start(ctx context.Context, cfg Config) (*Emulator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Emulator{cfg: cfg.withDefaults(), listeners: map[string]net.Listener{}, inspector: inspect.NewRecorder(nil), failed: make(chan error, 1)}
	e.hubs.Store(&hubTable{})
	e.clock = clock.New(e.cfg.Now)
	e.cfg.Now = e.clock.Now
	if err := e.start(ctx); err != nil {
		// What was opened is closed at once: nobody is connected yet.
		_ = e.Close(ctx)
		return nil, err
	}
	return e, nil
}

func (e *Emulator) start(ctx context.Context) error {
	if err := e.loadSeeds(); err != nil {
		return err
	}
	dir, err := e.openDir()
	if err != nil {
		return err
	}
	e.dir = dir
	// The lock comes first: it keeps a second process from making certificates in
	// the same directory.
	if err := e.lock(); err != nil {
		return err
	}
	e.covered = trust.ServerNames(e.cfg.certificateHosts()...)
	e.trust, err = trust.Load(trust.Options{
		Dir: dir, Hosts: e.cfg.certificateHosts(), CertFile: e.cfg.CertFile, KeyFile: e.cfg.KeyFile, Now: e.clock.Real(),
	})
	if err != nil {
		return err
	}
	e.notices = append(e.notices, e.trust.Notices...)
	if err := e.bind(); err != nil {
		return err
	}
	containers, idle := e.openContainers()
	e.containers = containers
	e.onClose("containers", func(context.Context) error { idle(); return nil })
	e.onClose("stores", func(context.Context) error { return e.closeStores() })
	e.onClose("hub", func(context.Context) error { return e.closeHubs() })
	if err := e.beginFirst(ctx); err != nil {
		return err
	}
	if err := e.loadHubs(ctx); err != nil {
		return err
	}
	if err := e.loadSnapshots(); err != nil {
		return err
	}
	if err := e.applySeeds(ctx); err != nil {
		return err
	}
	return e.serve()
}

// lock takes the data directory for this process.
func (e *Emulator) lock() error {
	if e.cfg.DataDir == "" {
		return nil
	}
	file, err := filelock.Lock(filepath.Join(e.cfg.DataDir, lockName))
	if err != nil {
		return openError(e.cfg.DataDir, err)
	}
	e.onClose("lock", func(context.Context) error { return file.Close() })
	return nil
}

// beginFirst begins the default hub.
func (e *Emulator) beginFirst(ctx context.Context) error {
	h := &hosted{
		e: e, name: hubName(e.cfg.HostNames[0]), hostNames: e.cfg.HostNames, policies: e.cfg.policies(),
		devices: e.cfg.Devices, groups: e.cfg.ConsumerGroups, home: e.dir,
	}
	e.first = h
	if e.kept() {
		record, _, err := readHubFile(h.home)
		if err != nil {
			return err
		}
		h.number = record.Life
		if err := h.tidy(); err != nil {
			return err
		}
	}
	l, err := h.begin(ctx, h.lifeDir(h.number), nil)
	if err != nil {
		return err
	}
	h.now.Store(l)
	return nil
}

// openDir makes the directory for the files, a temporary one when nothing is
// to be kept.
func (e *Emulator) openDir() (string, error) {
	if e.cfg.DataDir == "" {
		dir, err := os.MkdirTemp("", "hubnerite-")
		if err != nil {
			return "", err
		}
		e.onClose("temporary directory", func(context.Context) error { return os.RemoveAll(dir) })
		// Clients under other accounts read the CA; the keys are for us alone.
		return dir, os.Chmod(dir, 0o755) //nolint:gosec // see above
	}
	dir, err := filepath.Abs(e.cfg.DataDir)
	if err != nil {
		return "", err
	}
	e.cfg.DataDir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // see above
		return "", fmt.Errorf("data directory: %w", err)
	}
	return dir, nil
}

// bind binds every listener before anything is served, so that a port in use
// fails the start as a whole.
func (e *Emulator) bind() error {
	e.onClose("listeners", func(context.Context) error { return e.closeListeners() })
	var failed []error
	for _, want := range e.cfg.listeners() {
		fallback := 0
		if want.name == nameHTTPS {
			fallback = e.cfg.HTTPSFallbackPort
		}
		l, fellBack, err := listenWithFallback(listen, e.cfg.Bind, want.port, fallback)
		if err != nil && want.name == nameAMQPPlain && e.cfg.AMQPPlainFallback {
			cause := err
			if l, err = listen(e.cfg.Bind, 0); err == nil {
				e.notices = append(e.notices, fmt.Sprintf("port %d cannot be had (%v); plain AMQP is on %d instead, which the Event Hubs "+
					"connection strings with UseDevelopmentEmulator=true carry.", want.port, cause, portOf(l)))
			}
		}
		if err != nil {
			// Whoever mends one wants to know of the others, too.
			failed = append(failed, &ListenError{Listener: want.name, Port: want.port, Err: err})
			continue
		}
		if want.name != nameAdmin {
			l = halfopen.NewListener(l)
		}
		e.listeners[want.name] = l
		if fellBack {
			e.notices = append(e.notices, fmt.Sprintf("port %d may not be bound by this process; HTTPS is on %d instead. "+
				"Connection strings carry that port. The Python service SDK works so; SDKs that dial 443 whatever the "+
				"string says (Node.js service calls, WebSockets, file upload) cannot connect.", want.port, portOf(l)))
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	if published := e.cfg.publishedPolicies(); e.cfg.reachable() && len(published) > 0 {
		e.notices = append(e.notices, fmt.Sprintf("other machines can reach this emulator (bound to %s) and anyone knows the keys of its "+
			"access policies %v: they are the published defaults. Set keys of your own or bind to 127.0.0.1.", e.cfg.Bind, published))
	}
	if e.cfg.reachable() {
		e.notices = append(e.notices, fmt.Sprintf("the key of the storage account is the published one of storage emulators: whoever reaches "+
			"port %d reads and writes the files that devices upload, unless they go to an account of your own (--storage-connection-string).",
			portOf(e.listeners[nameHTTPS])))
	}
	return nil
}

func (e *Emulator) closeListeners() error {
	var errs []error
	for _, l := range e.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// startSweeping calls the hub's sweep and the further one from a ticker, and when the clock is moved.
func (e *Emulator) startSweeping(further func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(sweepInterval)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				e.sweep(e.cfg.Now())
				further()
			}
		}
	}()
	unwatch := e.watchClock(further)
	e.onClose("sweep", func(context.Context) error {
		unwatch()
		close(stop)
		<-stopped
		return nil
	})
}

// sweep does what is due in every hub.
func (e *Emulator) sweep(now time.Time) {
	for _, h := range e.all() {
		h.now.Load().hub.Sweep(now)
	}
}

// Hub returns the default hub, for programs that look inside without the wire. A reset
// replaces it.
func (e *Emulator) Hub() *hub.Hub { return e.first.now.Load().hub }

// Notices returns remarks that the person who started the emulator should
// read, such as a port that could not be had.
func (e *Emulator) Notices() []string { return slices.Clone(e.notices) }

// Failed yields an error when a listener stops serving by itself. The emulator
// then is not healthy any more.
func (e *Emulator) Failed() <-chan error { return e.failed }

func (e *Emulator) onClose(name string, do func(context.Context) error) {
	e.closers = append(e.closers, closer{name, do})
}

// Close ends every connection, writes what is to be kept and releases
// everything. When ctx ends first, clients are cut off instead of being told,
// and what is written stays written. Close may be called more than once.
func (e *Emulator) Close(ctx context.Context) error {
	e.closeOnce.Do(func() {
		var errs []error
		for _, c := range slices.Backward(e.closers) {
			if err := c.do(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
			}
		}
		e.running.Wait()
		e.closeErr = errors.Join(errs...)
	})
	return e.closeErr
}

// ListenError says which listener could not be bound.
type ListenError struct {
	// Listener is "mqtt", "mqtt-plain", "amqp", "amqp-plain", "https" or "admin".
	Listener string
	Port     int
	Err      error
}

// Error implements error.
func (e *ListenError) Error() string {
	return fmt.Sprintf("%s cannot listen: %v", e.Listener, e.Err)
}

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }
