package amqphub

import (
	"net"
	"strconv"
	"strings"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
)

// defaultPort is AMQP over TLS.
const defaultPort = 5671

// redirects reports whether an address is to be looked for on the Event Hubs
// host name: messages/events of the hub's own names. Where a name serves both,
// the address that the redirect gives has the entity's form and is served.
func (p *peer) redirects(a eventAddress) bool {
	return a.builtIn && !strings.HasSuffix(p.host, eventHubDomain)
}

// redirect is the answer that sends a reader to the Event Hubs host name. It
// needs no grant: tools ask before they have put any token, and the answer says
// nothing that the asker does not know.
// Source: IoT Hub, AMQP support; OASIS AMQP 1.0 2.8.18 (amqp:link:redirect).
func (p *peer) redirect(a eventAddress) *amqp.Error {
	host := eventHubHost(p.host)
	if host == "" {
		host = "localhost"
	}
	entity := p.hub().EventHubName()
	if label, _, _ := strings.Cut(host, "."); strings.HasSuffix(host, eventHubDomain) {
		entity = label
	}
	port := p.server.eventHubPort
	if port == 0 {
		port = defaultPort
	}
	address := "amqps://" + net.JoinHostPort(host, strconv.Itoa(port)) + "/" + entity
	if a.rest != "" {
		address += "/" + a.rest
	}
	return &amqp.Error{
		Condition: wire.ErrLinkRedirect,
		Info: wire.Map{}.
			Add(wire.Symbol("hostname"), host).
			Add(wire.Symbol("network-host"), host).
			Add(wire.Symbol("port"), int32(port)).
			Add(wire.Symbol("address"), address),
	}
}
