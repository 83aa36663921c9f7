package amqphub

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Resources of twin messages. Source: the AMQP twin code of the device SDKs.
const (
	resourceReported       = "/properties/reported"
	resourceDesired        = "/properties/desired"
	resourceNotifyDesired  = "/notifications/twin/properties/desired"
	statusAnnotation       = wire.Symbol("status")
	versionAnnotation      = wire.Symbol("version")
	resourceAnnotation     = wire.Symbol("resource")
	operationAnnotation    = "operation"
	resourceAnnotationName = string(resourceAnnotation)
)

// openTwin opens the link on which a device gets twin answers and desired changes.
func (d *device) openTwin(l *deviceLink, s *amqp.Sender) *amqp.Acceptance {
	o := d.newOutlet(l, s)
	o.gone = func() {
		d.mu.Lock()
		d.twins = slices.DeleteFunc(d.twins, func(other *outlet) bool { return other == o })
		none := len(d.twins) == 0
		d.mu.Unlock()
		if none {
			// After a subscription that is still to be carried out.
			d.do(func() { d.conn.EnableDesired(false) })
		}
	}
	d.mu.Lock()
	d.twins = append(d.twins, o)
	// They leave with the first credit.
	for _, message := range d.early {
		o.waiting = append(o.waiting, message)
		o.bytes += len(message)
	}
	d.early = nil
	d.mu.Unlock()
	return &amqp.Acceptance{Source: o, MaxMessageSize: iothub.MaxTelemetrySize}
}

// openTwinRequests opens the link on which a device sends twin requests.
func (d *device) openTwinRequests(l *deviceLink) *amqp.Acceptance {
	return &amqp.Acceptance{
		Sink: &inlet{d, l, func(delivery *amqp.Delivery) { d.do(func() { d.twinRequest(delivery) }) }},
		// A request is settled when it is done, so the credit bounds those that wait.
		Credit: deviceCredit, MaxMessageSize: iothub.MaxTelemetrySize,
	}
}

// DeliverDesired implements hub.Client. A change has no correlation ID; that is
// how clients tell it from an answer. A client that leaves too many unread loses
// its link, and reads the twin when it comes back, as it must.
func (d *device) DeliverDesired(version int64, body []byte) {
	o := last(d, &d.twins)
	if o == nil {
		return
	}
	message, err := encodeTwin(nil, wire.Map{}.Add(resourceAnnotation, resourceDesired).Add(versionAnnotation, version), body)
	if err == nil {
		err = o.send(message)
	}
	if err != nil {
		o.sender.Close(d.refuse("desired property notification",
			iothub.NewError(iothub.CodeIotHubQuotaExceeded, "The client does not take its desired property changes.").WithCause(err)))
	}
}

// twinAnswer is what a twin request leads to.
type twinAnswer struct {
	status  int
	version int64 // 0 for none
	body    []byte
}

// twinRequest carries out a request and answers it, settling it first. The answer
// repeats the correlation ID with its type.
func (d *device) twinRequest(delivery *amqp.Delivery) {
	m, err := parseMessage(delivery)
	if err == nil && m.properties.CorrelationID == nil {
		err = iothub.NewError(iothub.CodeArgumentInvalid, "A twin request needs a correlation ID.")
	}
	if err != nil {
		_ = delivery.Reject(d.refuse("twin request", err))
		return
	}
	answer, err := d.twinOperation(&m)
	if err != nil && d.ctx.Err() != nil {
		_ = delivery.Release()
		return
	}
	if errors.Is(err, hub.ErrUnanswered) {
		_ = delivery.Accept()
		return
	}
	if err != nil {
		e := iothub.AsError(err)
		answer = twinAnswer{status: e.Code.HTTPStatus(), body: []byte(d.refuse("twin request", e).Description)}
	}
	annotations := wire.Map{}.Add(statusAnnotation, int32(answer.status))
	if answer.version != 0 {
		annotations = annotations.Add(versionAnnotation, answer.version)
	}
	message, err := encodeTwin(m.properties.CorrelationID, annotations, answer.body)
	if err != nil {
		_ = delivery.Reject(d.refuse("twin request", err))
		return
	}
	_ = delivery.Accept()
	if err := d.sendTwinAnswer(delivery.Receiver(), message); err != nil {
		d.peer.log.Debug("twin answer not sent", "device", d.id, "err", err)
	}
}

// sendTwinAnswer sends the answer to a request that came on r. The Java client
// asks as soon as it may send, before its receiving link is there: then the
// answer waits for that.
func (d *device) sendTwinAnswer(r *amqp.Receiver, message []byte) error {
	d.mu.Lock()
	o := d.twinOutletLocked(r)
	if o == nil {
		defer d.mu.Unlock()
		if len(d.early) == deviceCredit {
			return errBacklog
		}
		d.early = append(d.early, message)
		return nil
	}
	d.mu.Unlock()
	return o.send(message)
}

// twinOperation does what a request's annotations say. A version that comes with
// a patch is not compared: over AMQP the service passes over it.
func (d *device) twinOperation(m *message) (twinAnswer, error) {
	operation, _ := m.annotations.Text(operationAnnotation)
	resource, _ := m.annotations.Text(resourceAnnotationName)
	operation, resource = strings.ToUpper(operation), strings.ToLower(resource)
	switch {
	case operation == http.MethodGet:
		body, err := d.conn.Twin(d.ctx)
		return twinAnswer{status: http.StatusOK, body: body}, err
	case operation == http.MethodPatch && resource == resourceReported:
		version, err := d.conn.Report(d.ctx, m.body, nil)
		return twinAnswer{status: http.StatusNoContent, version: version}, err
	case (operation == http.MethodPut || operation == http.MethodDelete) && resource == resourceNotifyDesired:
		d.conn.EnableDesired(operation == http.MethodPut)
		return twinAnswer{status: http.StatusOK}, nil
	}
	return twinAnswer{}, iothub.NewError(iothub.CodeInvalidOperation, "There is no twin operation %.32q on %.128q.", operation, resource)
}

// encodeTwin writes an answer, or, without correlation ID, a notification. The
// body is always a data section: some clients know no other.
func encodeTwin(correlationID any, annotations wire.Map, body []byte) ([]byte, error) {
	b, err := wire.AppendMessageAnnotations(nil, annotations)
	if err != nil {
		return nil, err
	}
	if correlationID != nil {
		if b, err = wire.AppendProperties(b, &wire.Properties{CorrelationID: correlationID}); err != nil {
			return nil, err
		}
	}
	return wire.AppendDataSection(b, body), nil
}
