package amqphub

import (
	"maps"
	"slices"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/internal/halfopen"
	"github.com/hubnerite/hubnerite/internal/netreset"
	"github.com/hubnerite/hubnerite/iothub"
)

// linkFault names the fault that ends the links of a node, in the direction
// that the hub receives or sends; "" for those that have none. The names of the
// method links follow the requests and responses of methods, those of the twin
// links the requests and responses of twins.
// Source: the fault injection tests of the C# and Java SDKs.
func linkFault(node deviceNode, receives bool) iothub.FaultType {
	switch {
	case node == nodeTelemetry && receives:
		return iothub.FaultKillAMQPTelemetryLink
	case node == nodeC2D:
		return iothub.FaultKillAMQPC2DLink
	case node == nodeMethods && receives:
		return iothub.FaultKillAMQPMethodRespLink
	case node == nodeMethods:
		return iothub.FaultKillAMQPMethodReqLink
	case node == nodeTwin && receives:
		return iothub.FaultKillAMQPTwinReqLink
	case node == nodeTwin:
		return iothub.FaultKillAMQPTwinRespLink
	}
	return ""
}

// Silence implements hub.SilentClient. The connection may carry other identities, which fall silent with this one.
func (d *device) Silence() { halfopen.Silence(d.peer.conn.NetConn()) }

// peerSocket is the connection of a back end, for fault rules.
type peerSocket struct{ *peer }

// Reset implements hub.Socket.
func (p peerSocket) Reset(reason *iothub.Error) {
	p.log.Warn("a fault rule ends the connection", "code", int(reason.Code), "err", reason)
	netreset.Reset(p.conn.NetConn())
	p.conn.Abort()
}

// Silence implements hub.Socket.
func (p peerSocket) Silence() { halfopen.Silence(p.conn.NetConn()) }

// InjectFault implements hub.FaultClient. The TCP and AMQP connection may carry
// other identities, which lose it with this one, as they would at Azure;
// sessions and links are those of this device alone.
func (d *device) InjectFault(f iothub.Fault, reason *iothub.Error) {
	p := d.peer
	seen := p.say("connection", d.id, reason)
	switch f.Type {
	case iothub.FaultKillTCP:
		netreset.Reset(p.conn.NetConn())
		p.conn.Abort()
	case iothub.FaultShutDownAMQP:
		p.conn.Close(nil)
	case iothub.FaultKillAMQPConnection:
		p.conn.Close(seen)
	case iothub.FaultKillAMQPSession:
		sessions := map[*amqp.Session]struct{}{}
		for _, l := range d.attached() {
			sessions[l.session] = struct{}{}
		}
		for s := range sessions {
			s.End(seen)
		}
	case iothub.FaultKillAMQPCBSReqLink, iothub.FaultKillAMQPCBSRespLink:
		p.detachCBS(f.Type == iothub.FaultKillAMQPCBSReqLink, seen)
	default:
		for _, l := range d.attached() {
			if l.fault == f.Type {
				l.close(seen)
			}
		}
	}
}

// attached returns the device's links.
func (d *device) attached() []*deviceLink {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.links))
}

// detachCBS detaches the link of $cbs for requests, or the one for answers.
func (p *peer) detachCBS(requests bool, seen *amqp.Error) {
	p.mu.Lock()
	receiver, sender := p.cbsRequests, p.cbsAnswers
	p.mu.Unlock()
	switch {
	case requests && receiver != nil:
		receiver.Close(seen)
	case !requests && sender != nil:
		sender.Close(seen)
	}
}
