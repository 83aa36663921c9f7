package amqphub

import (
	"errors"
	"sync"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
)

// maxBacklog bounds the bytes that wait on one link for a client that gives no
// credit.
const maxBacklog = 1 << 20

// errBacklog says that a client lets too much wait.
var errBacklog = errors.New("amqphub: too much waits for the client to take it")

// outlet is a link on which the hub sends method calls, or twin answers and
// notifications, to a device. What the client has no credit for waits, in order.
type outlet struct {
	device *device
	link   *deviceLink
	sender *amqp.Sender
	// channel pairs the links of the two directions; "" if the client does not.
	channel string
	// gone undoes what attaching did.
	gone func()

	mu      sync.Mutex
	waiting [][]byte
	bytes   int
}

func (d *device) newOutlet(l *deviceLink, s *amqp.Sender) *outlet {
	return &outlet{device: d, link: l, sender: s, channel: channelOf(s.Frame())}
}

func channelOf(f *wire.Attach) string {
	channel, _ := f.Properties.Text(channelProperty)
	return channel
}

// send sends an encoded message now or when the client is ready. It does not wait.
func (o *outlet) send(message []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		err := o.sender.TrySend(amqp.Message{Payload: [][]byte{message}})
		if !errors.Is(err, amqp.ErrWouldBlock) {
			return err
		}
	}
	if o.bytes+len(message) > maxBacklog {
		return errBacklog
	}
	o.waiting = append(o.waiting, message)
	o.bytes += len(message)
	return nil
}

// Ready implements amqp.Source.
func (o *outlet) Ready(*amqp.Sender) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 {
		if o.sender.TrySend(amqp.Message{Payload: [][]byte{o.waiting[0]}}) != nil {
			return
		}
		o.bytes -= len(o.waiting[0])
		o.waiting[0] = nil
		o.waiting = o.waiting[1:]
	}
	o.waiting = nil
}

// Outcome implements amqp.Source: nothing depends on it.
func (o *outlet) Outcome(sent *amqp.Sent, _ wire.DeliveryState) { _ = sent.Settle(nil) }

// Closed implements amqp.Source.
func (o *outlet) Closed(*amqp.Sender, []*amqp.Sent, error) {
	o.gone()
	o.device.leave(o.link)
}

// twinOutletLocked finds the link for the answer to what came on r: the one of the
// same channel, else the last one of the same session, else the last one; nil for none.
func (d *device) twinOutletLocked(r *amqp.Receiver) *outlet {
	var best *outlet
	bestRank, channel := -1, channelOf(r.Frame())
	for _, o := range d.twins {
		rank := 0
		if channel != "" && o.channel == channel {
			rank = 2
		}
		if o.sender.Session() == r.Session() {
			rank++
		}
		if rank >= bestRank {
			best, bestRank = o, rank
		}
	}
	return best
}

// inlet takes the messages of a link on which a device sends.
type inlet struct {
	device  *device
	link    *deviceLink
	message func(*amqp.Delivery)
}

// Message implements amqp.Sink.
func (i *inlet) Message(m *amqp.Delivery) { i.message(m) }

// Closed implements amqp.Sink.
func (i *inlet) Closed(*amqp.Receiver, error) { i.device.leave(i.link) }

// last returns the last of a list, or nil.
func last[T any](d *device, list *[]*T) *T {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(*list); n > 0 {
		return (*list)[n-1]
	}
	return nil
}
