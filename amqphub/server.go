package amqphub

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Options configure a Server. Hubs is required.
type Options struct {
	// Hubs finds the hub of a connection by the host name in its open frame.
	Hubs hub.Lookup
	// EventHubPort is the port that readers are redirected to; 0 means 5671.
	EventHubPort int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger takes one line per refusal; nil discards.
	Logger *slog.Logger
}

// Server serves AMQP connections for IoT hubs. It is safe for concurrent use.
type Server struct {
	hubs   hub.Lookup
	now    func() time.Time
	log    *slog.Logger
	engine *amqp.Server
	// work counts the goroutines of links.
	work sync.WaitGroup
	// readers are the readers of the Event Hubs-compatible endpoint.
	readers eventReaders
	// pages are the events last read, of each hub that has readers.
	pages        map[*hub.Hub]*eventPages
	eventHubPort int

	mu    sync.Mutex
	peers map[*peer]struct{}
}

// maxConnections bounds what one process serves, so that a loop of connects
// meets a refusal instead of the machine's limits.
const maxConnections = 20000

// New returns a server; give it listeners with Serve.
func New(o Options) *Server {
	s := &Server{
		hubs: o.Hubs, now: o.Now, log: o.Logger, eventHubPort: o.EventHubPort,
		peers: map[*peer]struct{}{}, pages: map[*hub.Hub]*eventPages{},
	}
	s.readers.places = map[readerPlace][]*eventReader{}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.engine = amqp.NewServer(amqp.Config{
		Handler: handler{s},
		// The order in which the service itself offers them. MSSBCBS is
		// ANONYMOUS by another name: the proof comes by $cbs.
		SASL: []amqp.Mechanism{
			amqp.Anonymous("MSSBCBS"), amqp.Plain(), amqp.Anonymous("ANONYMOUS"), amqp.External(),
		},
		Authenticate:   s.authenticate,
		MaxMessageSize: iothub.MaxTelemetrySize,
		MaxConnections: maxConnections,
		Logger:         s.log,
	})
	return s
}

// Serve accepts connections until the server is closed, and closes l. It
// returns amqp.ErrServerClosed after Shutdown.
func (s *Server) Serve(l net.Listener) error { return s.engine.Serve(l) }

// ServeConn serves one connection, such as a WebSocket stream, until its end.
func (s *Server) ServeConn(ctx context.Context, c net.Conn) error { return s.engine.ServeConn(ctx, c) }

// Shutdown closes every connection with amqp:connection:forced, and cuts off
// what is left when ctx ends. It returns when nothing of the server runs any
// more; the hubs must still be open.
func (s *Server) Shutdown(ctx context.Context) error {
	// Some device clients notice a detached link, but not a closed connection.
	for _, p := range s.allPeers() {
		p.detachDevices(&amqp.Error{Condition: wire.ErrLinkDetachForced, Description: "The hub is shutting down."})
	}
	err := s.engine.Shutdown(ctx)
	s.work.Wait()
	return err
}

// Sweep detaches the links whose authorisation has ended. The emulator calls it
// from its ticker.
func (s *Server) Sweep() {
	for _, p := range s.allPeers() {
		p.sweep()
	}
}

func (s *Server) allPeers() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	peers := make([]*peer, 0, len(s.peers))
	for p := range s.peers {
		peers = append(peers, p)
	}
	return peers
}

func (s *Server) add(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers[p] = struct{}{}
}

func (s *Server) remove(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p)
}
