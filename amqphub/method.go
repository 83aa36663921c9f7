package amqphub

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/iothub"
)

// Application properties of direct methods.
// Source: IoT Hub devguide, direct methods (AMQP).
const (
	methodNameProperty   = "IoThub-methodname"
	methodStatusProperty = "IoThub-status"
)

var errNoMethodLink = errors.New("amqphub: the device has no link for direct methods")

// openMethods opens the link on which a device gets direct method calls. Methods
// are on before the answer to the attach leaves.
func (d *device) openMethods(l *deviceLink, s *amqp.Sender) *amqp.Acceptance {
	o := d.newOutlet(l, s)
	o.gone = func() {
		d.mu.Lock()
		d.methods = slices.DeleteFunc(d.methods, func(other *outlet) bool { return other == o })
		none := len(d.methods) == 0
		d.mu.Unlock()
		if none {
			d.conn.EnableMethods(false)
		}
	}
	d.mu.Lock()
	d.methods = append(d.methods, o)
	d.mu.Unlock()
	d.conn.EnableMethods(true)
	return &amqp.Acceptance{Source: o, MaxMessageSize: iothub.MaxTelemetrySize}
}

// DeliverMethod implements hub.Client.
func (d *device) DeliverMethod(req iothub.MethodRequest) error {
	o := last(d, &d.methods)
	if o == nil {
		return errNoMethodLink
	}
	message, err := encodeMethod(&req)
	if err != nil {
		return err
	}
	return o.send(message)
}

// encodeMethod writes a call. The correlation ID must be a uuid for the C client.
// A call without payload has the body null: there are clients that parse it
// whatever it is.
func encodeMethod(req *iothub.MethodRequest) ([]byte, error) {
	id, err := uuid.Parse(req.RequestID)
	if err != nil {
		return nil, err
	}
	b, err := wire.AppendProperties(nil, &wire.Properties{CorrelationID: wire.UUID(id)})
	if err != nil {
		return nil, err
	}
	b, err = wire.AppendApplicationProperties(b, wire.Map{}.Add(methodNameProperty, req.MethodName))
	if err != nil {
		return nil, err
	}
	payload := req.Payload
	if len(payload) == 0 {
		payload = json.RawMessage("null")
	}
	return wire.AppendDataSection(b, payload), nil
}

// openMethodAnswers opens the link on which a device answers method calls.
func (d *device) openMethodAnswers(l *deviceLink) *amqp.Acceptance {
	return &amqp.Acceptance{
		Sink: &inlet{d, l, d.methodAnswer}, Credit: deviceCredit, MaxMessageSize: iothub.MaxTelemetrySize,
	}
}

// methodAnswer takes an answer: the correlation ID of the call, as a uuid or as
// its text, and the device's status as any integer.
func (d *device) methodAnswer(delivery *amqp.Delivery) {
	m, err := parseMessage(delivery)
	if err != nil {
		_ = delivery.Reject(d.refuse("direct method answer", err))
		return
	}
	status, ok := m.applicationMap.Integer(methodStatusProperty)
	rid := strings.ToLower(text(m.properties.CorrelationID))
	if !ok || rid == "" || int64(int32(status)) != status {
		_ = delivery.Reject(d.refuse("direct method answer", iothub.NewError(iothub.CodeArgumentInvalid,
			"The answer to a direct method needs a correlation ID and the application property %s as an int.", methodStatusProperty)))
		return
	}
	d.conn.AnswerMethod(rid, iothub.MethodResponse{Status: int(status), Payload: m.body})
	_ = delivery.Accept()
}
