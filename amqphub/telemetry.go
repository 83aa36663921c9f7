package amqphub

import (
	"errors"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// batchFormat is the message format of a batch: each data section is an encoded
// message of its own. Source: the batching code of the device SDKs.
const batchFormat = 0x80013700

// Where telemetry carries system properties that AMQP has no field for.
// Source: IoT Hub devguide, create and read messages (system properties).
const (
	creationTimeProperty  = "iothub-creation-time-utc"
	schemaProperty        = "iothub-message-schema"
	outputNameProperty    = "iothub-outputname"
	componentAnnotation   = "dt-subject"
	interfaceIDAnnotation = "iothub-interface-id"
)

// openTelemetry opens the link on which a device sends telemetry.
func (d *device) openTelemetry(l *deviceLink) *amqp.Acceptance {
	return &amqp.Acceptance{
		Sink: &inlet{d, l, d.telemetry}, Credit: telemetryCredit, MaxMessageSize: iothub.MaxTelemetrySize,
	}
}

// telemetry hands a message, or a batch, to the hub. It waits for room in the
// log's buffer only, which is what slows a sender down. One disposition, once
// everything is durable, answers for all of a batch.
func (d *device) telemetry(delivery *amqp.Delivery) {
	messages, err := parseTelemetry(delivery)
	if err != nil {
		_ = delivery.Reject(d.refuse("telemetry", err))
		return
	}
	if len(messages) == 1 {
		d.conn.SendTelemetry(d.ctx, messages[0], func(err error) { d.settleTelemetry(delivery, err) })
		return
	}
	batch := &batch{}
	batch.left.Store(int32(len(messages)))
	for i := range messages {
		d.conn.SendTelemetry(d.ctx, messages[i], func(err error) {
			if err != nil {
				batch.failed.CompareAndSwap(nil, &err)
			}
			if batch.left.Add(-1) > 0 {
				return
			}
			if failed := batch.failed.Load(); failed != nil {
				err = *failed
			}
			d.settleTelemetry(delivery, err)
		})
	}
}

// batch counts the messages of a batch that are not durable yet.
type batch struct {
	left   atomic.Int32
	failed atomic.Pointer[error]
}

func (d *device) settleTelemetry(delivery *amqp.Delivery, err error) {
	// A link that ended meanwhile hears neither answer.
	if errors.Is(err, hub.ErrFaultTaken) {
		return // it stays unsettled
	}
	if err == nil {
		_ = delivery.Accept()
	} else if d.ctx.Err() != nil {
		_ = delivery.Release()
	} else {
		_ = delivery.Reject(d.refuse("telemetry", err))
	}
}

// parseTelemetry returns the message or the messages of a delivery, at least one.
func parseTelemetry(delivery *amqp.Delivery) ([]iothub.Telemetry, error) {
	if delivery.Format != batchFormat {
		m, err := parseMessage(delivery)
		if err != nil {
			return nil, err
		}
		return []iothub.Telemetry{m.telemetry()}, nil
	}
	envelope, err := wire.ScanMessage(delivery.Payload)
	if err != nil {
		return nil, undecodable(err)
	}
	var messages []iothub.Telemetry
	for payload := range envelope.DataSections() {
		if len(messages) == iothub.MaxTelemetryBatch {
			return nil, iothub.NewError(iothub.CodeMessageTooLarge, "A batch may hold %d messages.", iothub.MaxTelemetryBatch)
		}
		m, err := parseEncoded(payload)
		if err != nil {
			return nil, err
		}
		t := m.telemetry()
		// Before anything of the batch is stored.
		if err := iothub.ValidateMessageID(t.System.MessageID); err != nil {
			return nil, err
		}
		messages = append(messages, t)
	}
	if len(messages) == 0 {
		return nil, iothub.NewError(iothub.CodeNullMessage, "The batch holds no message.")
	}
	return messages, nil
}

// telemetry returns the message in the hub's terms. Application properties that
// stand for system properties become those.
func (m *message) telemetry() iothub.Telemetry {
	t := iothub.Telemetry{System: m.system(), Body: m.body}
	t.System.Component, _ = m.annotations.Text(componentAnnotation)
	t.System.InterfaceID, _ = m.annotations.Text(interfaceIDAnnotation)
	if at := m.properties.AbsoluteExpiryTime; !at.IsZero() {
		t.System.Expiry = iothub.FormatTime(at)
	}
	if at := m.properties.CreationTime; !at.IsZero() {
		t.System.CreationTime = iothub.FormatTime(at)
	}
	for _, q := range m.application {
		switch q.Name {
		case creationTimeProperty:
			t.System.CreationTime = q.Value
		case schemaProperty:
			t.System.Schema = q.Value
		case outputNameProperty:
			t.System.OutputName = q.Value
		default:
			t.Properties = append(t.Properties, q)
		}
	}
	return t
}
