package amqphub

import (
	"strings"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
)

// hub returns the hub of the connection.
func (p *peer) hub() *hub.Hub { return p.bound.Load() }

// bind makes h the hub of the connection. When h closes, so does the connection, for a client has no other way
// to see that its links lead nowhere. Each bind takes back the one before.
func (p *peer) bind(h *hub.Hub) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unbind != nil {
		p.unbind()
	}
	p.bound.Store(h)
	p.unbind = h.AfterClose(func() {
		// Some device clients notice a detached link, but not a closed connection.
		gone := &amqp.Error{Condition: wire.ErrLinkDetachForced, Description: "The hub was closed, reset or removed."}
		p.detachDevices(gone)
		p.conn.Close(&amqp.Error{Condition: wire.ErrConnectionForced, Description: gone.Description})
	})
}

// choose gives the connection another hub when the entity is that one's event hub: clients of Event Hubs who cannot
// resolve the hub's own names reach it by any name of the emulator. A connection that has proved
// anything, or has a device, stays with its hub.
func (p *peer) choose(entity string) {
	switch strings.ToLower(entity) {
	case "", "devices", "messages": // IoT Hub's own addresses
		return
	}
	if p.isEntity(entity) {
		return
	}
	found, err := p.server.hubs(entity + eventHubDomain)
	if err != nil || found == p.hub() || !strings.EqualFold(found.EventHubName(), entity) {
		return
	}
	p.mu.Lock()
	fresh := len(p.grants) == 0 && len(p.devices) == 0 && len(p.links) == 0
	p.mu.Unlock()
	if fresh {
		p.bind(found)
	}
}

// entityOf returns what stands first in the path of an audience such as sb://host/entity/more.
func entityOf(audience string) string {
	if _, rest, ok := strings.Cut(audience, "://"); ok {
		audience = rest
	}
	_, path, _ := strings.Cut(audience, "/")
	entity, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return entity
}
