package amqphub

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/iothub"
)

// What the management node can be asked about.
const (
	typeEventHub  = "com.microsoft:eventhub"
	typePartition = "com.microsoft:partition"
)

// newManagement returns the $management node of a connection.
func newManagement(p *peer) *amqp.RequestNode {
	return &amqp.RequestNode{
		Serve:      func(r *amqp.Request) { p.serveManagement(r) },
		Acceptance: amqp.Acceptance{Credit: 100, MaxMessageSize: eventMessageSize},
	}
}

// serveManagement answers a READ of the entity or of a partition.
// Source: Event Hubs, AMQP 1.0 protocol guide (management operations).
func (p *peer) serveManagement(r *amqp.Request) {
	status, description, condition := int32(http.StatusOK), "OK", wire.Symbol("")
	body, err := p.manage(r)
	if err != nil {
		condition, description = err.Condition, err.Description
		switch condition {
		case wire.ErrNotFound:
			status = http.StatusNotFound
		case wire.ErrUnauthorizedAccess:
			status = http.StatusUnauthorized
		case wire.ErrNotImplemented:
			status = http.StatusNotImplemented
		case wire.ErrInternal:
			status = http.StatusInternalServerError
		default:
			status = http.StatusBadRequest
		}
	}
	reply, fault := managementReply(r, status, description, condition, body)
	if fault == nil {
		fault = r.Reply(reply)
	}
	if fault != nil {
		p.log.Debug("management request not answered", "err", fault)
	}
}

func (p *peer) manage(r *amqp.Request) (wire.Map, *amqp.Error) {
	refuse := func(condition wire.Symbol, format string, args ...any) (wire.Map, *amqp.Error) {
		refusal := trackedError(condition, "NoSystemTracker", p.server.now(), format, args...)
		p.log.Info("AMQP refused", "what", "management", "condition", string(condition), "err", refusal)
		return nil, refusal
	}
	properties, err := r.Message.ApplicationProperties()
	if err != nil {
		return refuse(wire.ErrDecode, "The application properties cannot be decoded.")
	}
	operation, _ := properties.Text("operation")
	name, _ := properties.Text("name")
	kind, _ := properties.Text("type")
	if err := p.authorizeManagement(properties); err != nil {
		return refuse(wire.ErrUnauthorizedAccess, "%s", iothub.AsError(err).Message)
	}
	switch {
	case operation != "READ":
		p.hub().CountUnsupported("AMQP $management " + strconv.Quote(operation))
		return refuse(wire.ErrNotImplemented, "Hubnerite does not implement the management operation %.64q.", operation)
	case !p.isEntity(name):
		return refuse(wire.ErrNotFound, "The messaging entity '%.128s' could not be found. This hub's is %q.", name, p.hub().EventHubName())
	case strings.EqualFold(kind, typeEventHub):
		return p.describeEventHub(name), nil
	case !strings.EqualFold(kind, typePartition):
		return refuse(conditionArgument, "There is nothing to read of the type %.64q.", kind)
	}
	value, _ := properties.Get("partition")
	partition, err := strconv.Atoi(text(value))
	if err != nil || partition < 0 || partition >= p.hub().Partitions() {
		return refuse(conditionOutOfRange, "%s", invalidPartition)
	}
	described, err := p.describePartition(name, partition)
	if err != nil {
		return nil, p.refuse("management", err)
	}
	return described, nil
}

// authorizeManagement judges a request by the connection's tokens, or by the one
// that the request brings along: the Java client puts none to $cbs for this node.
// Source: Event Hubs, AMQP 1.0 protocol guide (management operations).
func (p *peer) authorizeManagement(properties wire.Map) error {
	err := p.authorizeEvents(iothub.ServiceConnect, managementPath)
	token, _ := properties.Text("security_token")
	if err == nil || token == "" {
		return err
	}
	grant, err := p.hub().Authenticate(p.hubContext(), token)
	if err != nil {
		return err
	}
	return p.authorizeEventsBy(grant, iothub.ServiceConnect, managementPath)
}

func (p *peer) describeEventHub(name string) wire.Map {
	ids := make([]string, p.hub().Partitions())
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return wire.Map{}.
		Add("name", name).
		Add("type", typeEventHub).
		Add("created_at", p.hub().Created()).
		Add("partition_count", int32(len(ids))).
		Add("partition_ids", wire.Strings(ids...)). // an array: clients refuse a list
		Add("georeplication_factor", int32(1))      // the Go client refuses an answer without it
}

func (p *peer) describePartition(name string, partition int) (wire.Map, error) {
	info, err := p.hub().PartitionInfo(partition)
	if err != nil {
		return nil, err
	}
	first, last := info.First, info.Next-1
	if info.Next == 0 {
		first = -1
	}
	return wire.Map{}.
		Add("name", name).
		Add("type", typePartition).
		Add("partition", strconv.Itoa(partition)).
		Add("begin_sequence_number", first).
		Add("last_enqueued_sequence_number", last).
		Add("last_enqueued_offset", strconv.FormatInt(info.LastOffset, 10)).
		Add("last_enqueued_time_utc", epochIfZero(info.LastEnqueuedTime)).
		Add("is_partition_empty", info.First == info.Next), nil
}

func managementReply(r *amqp.Request, status int32, description string, condition wire.Symbol, body wire.Map) ([]byte, error) {
	b, err := wire.AppendProperties(nil, &wire.Properties{To: r.Properties.ReplyTo, CorrelationID: r.Properties.MessageID})
	if err != nil {
		return nil, err
	}
	m := wire.Map{}.Add("status-code", status).Add("status-description", description)
	if condition != "" {
		m = m.Add("error-condition", string(condition))
	}
	if b, err = wire.AppendApplicationProperties(b, m); err != nil {
		return nil, err
	}
	var value any
	if body != nil {
		value = body
	}
	return wire.AppendValueSection(b, value)
}
