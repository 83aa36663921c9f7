package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
)

// modelMessage is a message in the naive model of the queue.
type modelMessage struct {
	id     string
	ack    iothub.Ack
	expiry time.Time
	count  int
	token  string
	until  time.Time
	holder *Connection // nil for a lock of an HTTPS receiver
}

// c2dModel drives one device's queue with random operations and compares what
// it does with a plain list of messages.
type c2dModel struct {
	f     *fixture
	clock *movableClock
	id    iothub.ID
	max   int

	messages []*modelMessage
	feedback []string
	sent     int
	// tokens are all lock tokens ever handed out, old ones included.
	tokens []string

	conn     *Connection
	client   *fakeClient
	protocol string
	enabled  bool
	// told: the client was told of waiting messages and has not come up empty since.
	told bool
}

// refresh lapses locks and expires messages, as time passes.
func (m *c2dModel) refresh() {
	now := m.clock.now()
	for _, msg := range slices.Clone(m.messages) {
		if msg.token != "" && !msg.until.IsZero() && !now.Before(msg.until) {
			msg.token, msg.holder = "", nil
		}
		if msg.token == "" && !now.Before(msg.expiry) {
			m.end(msg, iothub.OutcomeExpired)
		}
	}
}

func (m *c2dModel) end(msg *modelMessage, o iothub.Outcome) {
	m.messages = slices.DeleteFunc(m.messages, func(x *modelMessage) bool { return x == msg })
	if msg.ack.WantsFeedback(o) {
		m.feedback = append(m.feedback, msg.id+" "+string(o))
	}
}

func (m *c2dModel) next() *modelMessage {
	for _, msg := range m.messages {
		if msg.token == "" {
			return msg
		}
	}
	return nil
}

func (m *c2dModel) release(c *Connection) {
	for _, msg := range m.messages {
		if msg.token != "" && msg.holder == c {
			msg.token, msg.holder, msg.until = "", nil, time.Time{}
		}
	}
	m.refresh()
}

func (m *c2dModel) send(t *rapid.T) {
	m.sent++
	msg := &modelMessage{
		id:  fmt.Sprint(m.sent),
		ack: rapid.SampledFrom([]iothub.Ack{iothub.AckNone, iothub.AckPositive, iothub.AckNegative, iothub.AckFull}).Draw(t, "ack"),
	}
	c2d := iothub.C2DMessage{ID: m.id, System: iothub.SystemProperties{MessageID: msg.id}, Ack: msg.ack}
	msg.expiry = m.clock.now().Add(time.Hour)
	if rapid.Bool().Draw(t, "own expiry") {
		msg.expiry = m.clock.now().Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "ttl")) * time.Second)
		c2d.ExpiryTime = msg.expiry
	}
	_, err := m.f.SendC2D(context.Background(), c2d)
	if len(m.messages) >= iothub.MaxC2DQueue {
		wantCode(t, err, iothub.CodeDeviceMaximumQueueDepthExceeded)
		return
	}
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	m.messages = append(m.messages, msg)
}

func (m *c2dModel) received(t *rapid.T, d Delivery, ok bool, holder *Connection, until time.Time) {
	want := m.next()
	switch {
	case !ok && want == nil:
		return
	case !ok:
		t.Fatalf("received nothing, want %s", want.id)
	case want == nil:
		t.Fatalf("received %s, want nothing", d.Message.System.MessageID)
	}
	if d.Message.System.MessageID != want.id || d.Message.DeliveryCount != want.count {
		t.Fatalf("received %s (%d), want %s (%d)", d.Message.System.MessageID, d.Message.DeliveryCount, want.id, want.count)
	}
	if d.Message.Ack != want.ack || !d.Message.ExpiryTime.Equal(want.expiry) {
		t.Fatalf("received %+v, want %+v", d.Message, want)
	}
	want.token, want.holder, want.until = d.LockToken, holder, until
	m.tokens = append(m.tokens, d.LockToken)
}

// locked returns the message under the token if its lock holds.
func (m *c2dModel) locked(token string) *modelMessage {
	for _, msg := range m.messages {
		if msg.token == token {
			return msg
		}
	}
	return nil
}

func (m *c2dModel) settle(t *rapid.T, settle func(context.Context, iothub.ID, string) error, then func(*modelMessage)) {
	if len(m.tokens) == 0 {
		t.Skip("nothing was received yet")
	}
	// Recent tokens are more interesting than old ones.
	recent := m.tokens[max(0, len(m.tokens)-6):]
	token := rapid.SampledFrom(recent).Draw(t, "token")
	err := settle(context.Background(), m.id, token)
	msg := m.locked(token)
	if msg == nil {
		wantCode(t, err, iothub.CodeDeviceMessageLockLost)
		return
	}
	if err != nil {
		t.Fatalf("settle %s: %v", msg.id, err)
	}
	then(msg)
}

func (m *c2dModel) connect(t *rapid.T, protocol string) {
	if m.conn != nil {
		m.release(m.conn)
	}
	old, oldClient := m.conn, m.client
	m.conn, m.client = m.f.connect(m.id, protocol)
	m.protocol, m.enabled, m.told = protocol, false, false
	if old != nil {
		if len(oldClient.gone) != 1 {
			t.Fatalf("the evicted client was told %d times", len(oldClient.gone))
		}
		if _, ok := old.ReceiveC2D(); ok {
			t.Fatalf("the evicted connection received")
		}
	}
}

func (m *c2dModel) listen() {
	if m.client != nil && m.client.signals() > 0 {
		m.told = true
	}
}

func (m *c2dModel) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"send": m.send,
		"send many": func(t *rapid.T) {
			for range 15 {
				m.send(t)
			}
		},
		"receive without a connection": func(t *rapid.T) {
			d, ok, err := m.f.ReceiveC2D(context.Background(), m.id)
			if err != nil {
				t.Fatalf("receive: %v", err)
			}
			m.received(t, d, ok, nil, m.clock.now().Add(iothub.C2DLock))
		},
		"receive": func(t *rapid.T) {
			if m.conn == nil || !m.enabled {
				t.Skip("not connected")
			}
			m.listen()
			var until time.Time
			if m.protocol == "amqp" {
				until = m.clock.now().Add(iothub.C2DLock)
			}
			d, ok := m.conn.ReceiveC2D()
			m.received(t, d, ok, m.conn, until)
			if !ok {
				m.told = false
			}
		},
		"complete": func(t *rapid.T) {
			m.settle(t, m.f.CompleteC2D, func(msg *modelMessage) { m.end(msg, iothub.OutcomeSuccess) })
		},
		"reject": func(t *rapid.T) {
			m.settle(t, m.f.RejectC2D, func(msg *modelMessage) { m.end(msg, iothub.OutcomeRejected) })
		},
		"abandon": func(t *rapid.T) {
			m.settle(t, m.f.AbandonC2D, func(msg *modelMessage) {
				msg.count++
				msg.token, msg.holder, msg.until = "", nil, time.Time{}
				if msg.count >= m.max {
					m.end(msg, iothub.OutcomeDeliveryCountExceeded)
				}
				m.refresh()
			})
		},
		"connect mqtt": func(t *rapid.T) { m.connect(t, "mqtt") },
		"connect amqp": func(t *rapid.T) { m.connect(t, "amqp") },
		"disconnect": func(t *rapid.T) {
			if m.conn == nil {
				t.Skip("not connected")
			}
			m.conn.Close()
			m.release(m.conn)
			m.conn, m.client, m.enabled = nil, nil, false
		},
		"enable": func(t *rapid.T) {
			if m.conn == nil {
				t.Skip("not connected")
			}
			m.listen()
			m.enabled, m.told = rapid.Bool().Draw(t, "on"), false
			m.conn.EnableC2D(m.enabled)
			if !m.enabled && m.protocol == "amqp" {
				m.release(m.conn)
			}
		},
		"time passes": func(t *rapid.T) {
			m.clock.advance(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			m.refresh()
		},
		"sweep": func(t *rapid.T) {
			m.f.Sweep(m.clock.now())
			m.listen()
			if m.enabled && m.next() != nil && !m.told {
				t.Fatalf("the client does not know of message %s", m.next().id)
			}
			if n := m.f.count(m.id); n != len(m.messages) {
				t.Fatalf("%d wait, want %d", n, len(m.messages))
			}
		},
		"purge": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
				t.Skip("not now")
			}
			n, err := m.f.PurgeC2D(context.Background(), m.id)
			if err != nil || n != len(m.messages) {
				t.Fatalf("purged %d, %v, want %d", n, err, len(m.messages))
			}
			for _, msg := range slices.Clone(m.messages) {
				m.end(msg, iothub.OutcomePurged)
			}
		},
		"restart": func(t *rapid.T) {
			m.f.restart()
			for _, msg := range m.messages {
				msg.token, msg.holder, msg.until = "", nil, time.Time{}
			}
			m.conn, m.client, m.enabled = nil, nil, false
			m.refresh()
		},
	}
}

func TestC2DQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newMovableClock()
		m := &c2dModel{clock: clock, max: 3}
		m.f = startFixture(t, func(o *Options) {
			o.Now = clock.now
			o.C2D = iothub.DefaultC2DSettings()
			o.C2D.MaxDeliveryCount = m.max
			o.C2D.FeedbackTTL = 1000 * time.Hour
		})
		m.id = m.f.device("d")
		t.Repeat(m.actions())
		m.refresh()
		m.f.Sweep(clock.now())
		if n := m.f.count(m.id); n != len(m.messages) {
			t.Fatalf("%d wait, want %d", n, len(m.messages))
		}
		if err := m.f.Close(); err != nil {
			t.Fatal(err)
		}
		m.compareStore(t)
	})
}

// compareStore checks that the store holds the waiting messages in order, and
// exactly the feedback that was asked for.
func (m *c2dModel) compareStore(t *rapid.T) {
	queues := m.f.store.Queues()
	entries, err := queues.Load(context.Background(), "d")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, e := range entries {
		c2d, err := iothub.DecodeC2D(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(c2d.System.MessageID, " ", c2d.DeliveryCount))
	}
	for _, msg := range m.messages {
		want = append(want, fmt.Sprint(msg.id, " ", msg.count))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the store holds %q, want %q", got, want)
	}
	records, err := queues.Load(context.Background(), feedbackQueueName)
	if err != nil {
		t.Fatal(err)
	}
	var feedback []string
	for _, e := range records {
		r, err := decodeServiceRecord(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var record iothub.FeedbackRecord
		if err := json.Unmarshal(r.body, &record); err != nil {
			t.Fatal(err)
		}
		feedback = append(feedback, record.OriginalMessageID+" "+string(record.StatusCode))
	}
	sort.Strings(feedback)
	sort.Strings(m.feedback)
	if !slices.Equal(feedback, m.feedback) {
		t.Fatalf("feedback %q, want %q", feedback, m.feedback)
	}
}
