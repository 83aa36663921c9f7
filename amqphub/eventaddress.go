package amqphub

import (
	"net"
	"strings"
)

// eventAddress is an address of the Event Hubs-compatible endpoint, taken apart.
// Source: Event Hubs, AMQP 1.0 protocol guide; IoT Hub, AMQP support.
type eventAddress struct {
	// entity is what stands before the rest: the hub's name, or empty.
	entity string
	// builtIn: the address is messages/events, which the hub's own host name has.
	builtIn bool
	// management: it ends with $management.
	management bool
	// group and partition of a reader; partition is as written.
	group, partition string
	// reader: it names a consumer group and a partition.
	reader bool
	// rest is what follows the entity, as written, without slashes around it.
	rest string
}

// parseEventAddress takes an address apart, in any case and in each of the forms
// that SDKs write. ok is false when it is of another kind.
func parseEventAddress(address string) (a eventAddress, ok bool) {
	segments := strings.Split(pathOf(address), "/")
	is := func(i int, want string) bool { return i < len(segments) && strings.EqualFold(segments[i], want) }
	switch {
	case is(0, "messages") && is(1, "events"):
		a.builtIn, segments = true, segments[2:]
	case is(0, "$management") && len(segments) == 1:
	default:
		a.entity, segments = segments[0], segments[1:]
	}
	a.rest = strings.Join(segments, "/")
	switch {
	case len(segments) == 0:
	case len(segments) == 1 && is(0, "$management"):
		a.management = true
	case len(segments) == 4 && is(0, "ConsumerGroups") && is(2, "Partitions"):
		a.reader, a.group, a.partition = true, segments[1], segments[3]
	case len(segments) == 2 && is(0, "Partitions"):
		a.partition = segments[1]
	default:
		return a, a.builtIn // something of the endpoint's that there is not
	}
	return a, true
}

// hostOf returns the name that a connection was made to, in lower case and
// without port.
func hostOf(name string) string {
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
}

// The domains of IoT Hub and of Event Hubs.
const (
	hubDomain      = ".azure-devices.net"
	eventHubDomain = ".servicebus.windows.net"
)

// eventHubHost returns the host name of the Event Hubs-compatible endpoint of
// the hub that is reached as host. A name of Azure's has its counterpart there,
// any other serves both.
func eventHubHost(host string) string {
	if strings.HasSuffix(host, hubDomain) {
		name, _, _ := strings.Cut(host, ".")
		return name + eventHubDomain
	}
	return host
}

// isEntity reports whether name is the Event Hubs-compatible entity: the hub's
// name, or the name by which the connection reached it, which is what tools make
// of the host name that a redirect gave them.
func (p *peer) isEntity(name string) bool {
	if strings.EqualFold(name, p.hub().EventHubName()) {
		return true
	}
	label, _, _ := strings.Cut(p.host, ".")
	return label != "" && net.ParseIP(p.host) == nil && strings.EqualFold(name, label)
}
