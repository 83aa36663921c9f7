package amqphub

import (
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// maxGrants bounds the put-tokens of one connection.
// Source: IotHubMaxCbsTokenExceeded (403005).
const maxGrants = 1000

// peer is one connection and what it may do.
type peer struct {
	server *Server
	log    *slog.Logger
	cbs    *amqp.RequestNode
	// host is the name that the client connected to; see hostOf.
	host string
	// management is the node of the Event Hubs-compatible endpoint.
	management *amqp.RequestNode
	conn       *amqp.Conn
	// protocol is "amqp" or "amqp-ws".
	protocol string

	// bound is the hub; see bind.
	bound atomic.Pointer[hub.Hub]

	mu sync.Mutex
	// unbind undoes bind.
	unbind func() bool
	grants map[grantKey]iothub.Grant
	links  map[*link]struct{}
	// devices are the identities that have links; see device.go.
	devices map[iothub.ID]*device
	// cbsRequests and cbsAnswers are the last links of $cbs; nil before.
	cbsRequests *amqp.Receiver
	cbsAnswers  *amqp.Sender
	// strangerAttaches counts links asked for before anything was proved.
	strangerAttaches int
}

// grantKey tells the tokens of a connection apart: by what they prove, not by the
// audience that a put-token names, for the Java client names the device for each
// of its modules.
type grantKey struct{ policy, resource string }

func keyOf(g iothub.Grant) grantKey { return grantKey{g.Policy, g.Resource} }

// link is an attached link with the right that it lives by.
type link struct {
	rights iothub.AccessRights
	path   string
	close  func(*amqp.Error)
	// events: path is below the Event Hubs-compatible entity.
	events bool
}

// handler turns the engine's questions into calls of a peer.
type handler struct{ s *Server }

// Open implements amqp.Handler: it finds the hub.
func (h handler) Open(c *amqp.Conn) error {
	p := &peer{
		server: h.s, grants: map[grantKey]iothub.Grant{}, links: map[*link]struct{}{},
		log: h.s.log.With("conn", c.ID()), conn: c, protocol: protocolOf(c.NetConn()), devices: map[iothub.ID]*device{},
	}
	if login, ok := c.Principal().(plainLogin); ok {
		p.grants[keyOf(login.grant)] = login.grant
		p.bind(login.hub)
	} else {
		name := c.Open().HostName
		if tls := c.TLS(); name == "" && tls != nil {
			name = tls.ServerName
		}
		found, err := h.s.hubs(name)
		if err != nil {
			return p.refuse("open", err)
		}
		p.bind(found)
	}
	p.cbs, p.management = newCBS(p), newManagement(p)
	if p.host = hostOf(c.Open().HostName); p.host == "" && c.TLS() != nil {
		p.host = hostOf(c.TLS().ServerName)
	}
	c.SetValue(p)
	h.s.add(p)
	return nil
}

// Attach implements amqp.Handler.
func (h handler) Attach(a *amqp.Attach) (*amqp.Acceptance, error) {
	p := peerOf(a.Session.Conn())
	if err := p.admitStranger(); err != nil {
		refusal := p.refuse("attach", err)
		a.Session.Conn().Close(refusal)
		return nil, refusal
	}
	acceptance, err := p.attach(a)
	var said *amqp.Error
	if errors.As(err, &said) { // it is in the words of Event Hubs already
		p.log.Info("AMQP refused", "what", "attach "+addressOf(a), "condition", string(said.Condition), "err", err)
		return nil, said
	}
	if err != nil {
		what := "attach " + addressOf(a)
		id, _, _ := parseDeviceAddress(addressOf(a)) // of nobody, when it is no device's
		p.note(what, id, err)
		return nil, p.say(what, id, err)
	}
	return acceptance, nil
}

// Closed implements amqp.Handler.
func (h handler) Closed(c *amqp.Conn, _ error) {
	p := peerOf(c)
	p.mu.Lock()
	p.unbind()
	p.mu.Unlock()
	h.s.remove(p)
}

func peerOf(c *amqp.Conn) *peer { return c.Value().(*peer) }

// maxStrangerAttaches is how many links a connection may ask for before it has
// proved anything: the two of $cbs and some attempts.
const maxStrangerAttaches = 64

// admitStranger counts the attaches of a connection that has neither a grant
// nor a device, so that nobody unknown can fill the memory with links.
func (p *peer) admitStranger() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.grants) > 0 || len(p.devices) > 0 {
		return nil
	}
	if p.strangerAttaches++; p.strangerAttaches > maxStrangerAttaches {
		return iothub.NewError(iothub.CodeIotHubUnauthorizedAccess,
			"Unauthorized: more than %d links asked for without a token.", maxStrangerAttaches)
	}
	return nil
}

// attach answers a link by its address.
func (p *peer) attach(a *amqp.Attach) (*amqp.Acceptance, error) {
	address, sends := addressOf(a), a.Receiver != nil
	events, isEvents := parseEventAddress(address)
	if isEvents && events.entity != "" && !p.isEntity(events.entity) && classify(address) == addressUnknown {
		p.choose(events.entity)
	}
	switch kind := classify(address); {
	case kind == addressCBS:
		return p.attachCBS(a)
	case kind == addressC2D && sends:
		return p.attachC2DSender(a)
	case kind == addressFeedback && !sends:
		return p.attachFeedback(a)
	case kind == addressFileNotifications && !sends:
		return p.attachFileNotifications(a)
	case kind == addressEvents || kind == addressUnknown && isEvents && p.isEntity(events.entity):
		return p.attachEvents(a, events)
	case kind == addressDevice:
		return p.attachDevice(a)
	default:
		return nil, iothub.NewError(iothub.CodeAmqpAddressNotFound, "There is no AMQP node %.128q for this direction.", address)
	}
}

// authorize returns nil when a grant of the connection has one of the rights on
// path now.
func (p *peer) authorize(rights iothub.AccessRights, path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.authorizeLocked(rights, path)
}

func (p *peer) authorizeLocked(rights iothub.AccessRights, path string) error {
	err := error(iothub.NewError(iothub.CodeIotHubUnauthorizedAccess, "Unauthorized: put a token to $cbs first."))
	for _, g := range p.grants {
		if err = p.hub().Authorize(g, rights, path); err == nil {
			return nil
		}
	}
	return err
}

// grant keeps what a put-token proved; a later one for the same resource
// replaces it, which is how links outlive a token.
func (p *peer) grant(g iothub.Grant) error {
	if err := p.keep(g); err != nil {
		return err
	}
	p.renew(g)
	return nil
}

func (p *peer) keep(g iothub.Grant) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := keyOf(g)
	if _, known := p.grants[key]; !known && len(p.grants) >= maxGrants {
		now := p.server.now()
		maps.DeleteFunc(p.grants, func(_ grantKey, g iothub.Grant) bool { return !now.Before(g.Expiry) })
		if len(p.grants) >= maxGrants {
			return iothub.NewError(iothub.CodeIotHubMaxCbsTokenExceeded, "A connection may hold %d tokens.", maxGrants)
		}
	}
	p.grants[key] = g
	return nil
}

// track remembers a link that lives by a right, and returns how to forget it.
func (p *peer) track(rights iothub.AccessRights, path string, closeLink func(*amqp.Error)) (forget func()) {
	return p.trackLink(&link{rights: rights, path: path, close: closeLink})
}

// trackEvents is track for a path below the Event Hubs-compatible entity.
func (p *peer) trackEvents(rights iothub.AccessRights, path string, closeLink func(*amqp.Error)) (forget func()) {
	return p.trackLink(&link{rights: rights, path: path, close: closeLink, events: true})
}

func (p *peer) trackLink(l *link) (forget func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[l] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	}
}

// sweep detaches the links that no grant covers any more.
func (p *peer) sweep() {
	type ended struct {
		*link
		err error
	}
	var over []ended
	p.mu.Lock()
	for l := range p.links {
		authorize := p.authorizeLocked
		if l.events {
			authorize = p.authorizeEventsLocked
		}
		if err := authorize(l.rights, l.path); err != nil {
			over = append(over, ended{l, err})
			delete(p.links, l)
		}
	}
	p.mu.Unlock()
	for _, l := range over {
		l.close(p.refuse("link", l.err))
	}
}

// refuse logs why something was refused and returns it for the wire.
func (p *peer) refuse(what string, err error) *amqp.Error {
	p.note(what, iothub.ID{}, err)
	return p.say(what, iothub.ID{}, err)
}

// refuse is that of the peer, for what the device asked.
func (d *device) refuse(what string, err error) *amqp.Error {
	d.peer.note(what, d.id, err)
	return d.peer.say(what, d.id, err)
}

// note has the hub remember a refusal.
func (p *peer) note(what string, id iothub.ID, err error) {
	if h := p.bound.Load(); h != nil {
		h.Refused(what, p.protocol, remoteAddr(p.conn.NetConn()), id, err)
	}
}

// say logs the error, with the device that it is about if it is about one, and puts it into the words of AMQP.
func (p *peer) say(what string, id iothub.ID, err error) *amqp.Error {
	e := iothub.AsError(err)
	level := slog.LevelWarn
	if e.Code == iothub.CodeServerError && !errors.Is(err, amqp.ErrLinkClosed) {
		level = slog.LevelError
	}
	p.log.Log(p.hubContext(), level, "AMQP refused", "what", what, "device", id.String(), "code", int(e.Code), "err", err)
	return wireError(e, p.server.now())
}
