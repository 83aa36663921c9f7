package amqphub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

const (
	// eventBatch is how many events a reader gives to its link at a time.
	eventBatch = 64
	// maxUnsettledEvents bounds what a client may leave unsettled on a link.
	maxUnsettledEvents = 10000
	// eventMessageSize is what the endpoint announces. Source: Event Hubs quotas.
	eventMessageSize = 1 << 20
)

// Names in a reader's attach. Source: Event Hubs, AMQP 1.0 protocol guide.
const (
	epochProperty        = "com.microsoft:epoch"
	receiverNameProperty = "com.microsoft:receiver-name"
	metricCapability     = wire.Symbol("com.microsoft:enable-receiver-runtime-metric")
)

// attachEvents answers links of the Event Hubs-compatible endpoint.
func (p *peer) attachEvents(a *amqp.Attach, address eventAddress) (*amqp.Acceptance, error) {
	sends := a.Receiver != nil
	switch {
	case sends && !address.management:
		if err := p.authorizeEvents(iothub.ServiceConnect|iothub.DeviceConnect, address.rest); err != nil {
			return nil, err
		}
		return nil, trackedError(wire.ErrUnauthorizedAccess, "NoSystemTracker", p.server.now(),
			"Unauthorized access. 'Send' claim(s) are required to perform this operation. "+
				"Events come from devices: the built-in endpoint of a hub is only read. Resource: '%.128s'.", addressOf(a))
	case p.redirects(address):
		return nil, p.redirect(address)
	case address.entity != "" && !p.isEntity(address.entity):
		return nil, trackedError(wire.ErrNotFound, "NoSystemTracker", p.server.now(),
			"The messaging entity '%.128s' could not be found. This hub's is %q.", address.entity, p.hub().EventHubName())
	case address.management:
		// Whoever asks may do so before any token: each request is judged, and may bring its own.
		return p.management.Attach(a)
	case address.reader:
		if err := p.authorizeEvents(iothub.ServiceConnect, address.rest); err != nil {
			return nil, err
		}
		return p.attachReader(a, address)
	}
	return nil, iothub.NewError(iothub.CodeAmqpAddressNotFound, "There is no AMQP node %.128q to receive from.", addressOf(a))
}

// managementPath is the management node below the entity.
const managementPath = "$management"

// authorizeEvents is authorize for something below the entity: a token may be
// for the hub, for messages/events, for the entity, or for the thing itself.
// Names are compared without regard to case, as Event Hubs does.
func (p *peer) authorizeEvents(rights iothub.AccessRights, rest string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.authorizeEventsLocked(rights, rest)
}

func (p *peer) authorizeEventsLocked(rights iothub.AccessRights, rest string) error {
	err := error(iothub.NewError(iothub.CodeIotHubUnauthorizedAccess, "Unauthorized: put a token to $cbs first."))
	for _, g := range p.grants {
		if err = p.authorizeEventsBy(g, rights, rest); err == nil {
			return nil
		}
	}
	return err
}

// authorizeEventsBy is authorizeEvents with one grant.
func (p *peer) authorizeEventsBy(g iothub.Grant, rights iothub.AccessRights, rest string) error {
	resource := strings.ToLower(g.Resource)
	entity, _, _ := strings.Cut(resource, "/")
	prefix := "messages/events"
	if resource != prefix && !strings.HasPrefix(resource, prefix+"/") {
		if resource != "" && !p.isEntity(entity) {
			prefix = p.hub().EventHubName()
		} else {
			prefix = entity
		}
	}
	g.Resource = resource
	return p.hub().Authorize(g, rights, strings.ToLower(prefix+"/"+rest))
}

// attachReader opens a link that reads a partition.
func (p *peer) attachReader(a *amqp.Attach, address eventAddress) (*amqp.Acceptance, error) {
	name := p.hub().EventHubName()
	r := &eventReader{peer: p, sender: a.Sender, credit: make(chan struct{}, 1)}
	r.place = readerPlace{hub: p.hub(), group: strings.ToLower(address.group), partition: -1}
	r.name, _ = a.Frame.Properties.Text(receiverNameProperty)
	if r.epoch, r.owned = a.Frame.Properties.Integer(epochProperty); r.epoch < 0 {
		return nil, eventError(conditionOutOfRange, r, "The epoch '%d' of a receiver must not be negative.", r.epoch)
	}
	partition, err := strconv.Atoi(address.partition)
	if err != nil || partition < 0 || partition >= p.hub().Partitions() || strconv.Itoa(partition) != address.partition {
		return nil, eventError(conditionOutOfRange, r, "%s", invalidPartition)
	}
	r.place.partition = partition
	if _, ok := p.hub().ConsumerGroup(address.group); !ok {
		return nil, eventError(wire.ErrNotFound, r, "The messaging entity '%s:eventhub:%s~%d|%.64s' could not be found.",
			name, name, partition, r.place.group)
	}
	if r.next, err = p.firstEvent(r, a.Frame.Source); err != nil {
		return nil, err
	}
	answer := &amqp.Acceptance{Source: r, MaxMessageSize: eventMessageSize}
	if slices.Contains(a.Frame.DesiredCapabilities, metricCapability) {
		r.metrics = true
		answer.OfferedCapabilities = []wire.Symbol{metricCapability}
	}
	r.settled = a.Frame.SenderSettleMode == wire.SenderSettled ||
		a.Frame.SenderSettleMode == wire.SenderMixed && a.Frame.ReceiverSettleMode == wire.ReceiverFirst
	r.ctx, r.stop = context.WithCancel(a.Session.Conn().Context())
	if err := p.server.readers.add(r); err != nil {
		r.stop()
		return nil, err
	}
	r.forget = p.trackEvents(iothub.ServiceConnect, address.rest, a.Sender.Close)
	p.goLink("event reading", r.run)
	return answer, nil
}

// invalidPartition is the service's text.
const invalidPartition = "The specified partition is invalid for an EventHub partition sender or receiver. It should be between 0 and the number of partitions."

// firstEvent finds where a reader begins. A place behind the end of the
// partition is refused, as the service does: a checkpoint of another hub, or of
// one that kept nothing, would otherwise read nothing for a long time.
func (p *peer) firstEvent(r *eventReader, source *wire.Source) (int64, error) {
	at, err := startOf(source)
	if err != nil {
		return 0, eventError(conditionArgument, r, "%s.", err)
	}
	info, err := p.hub().PartitionInfo(r.place.partition)
	if err != nil {
		return 0, err
	}
	switch {
	case at.Kind == hub.PositionOffset && at.Value > max(info.LastOffset, 0):
		return 0, eventError(conditionArgument, r, "The supplied offset '%d' is invalid. The last offset in the system is '%d'.", at.Value, info.LastOffset)
	case at.Kind == hub.PositionSequenceNumber && at.Value > max(info.Next, 0):
		return 0, eventError(conditionArgument, r,
			"The supplied sequence number '%d' is invalid. The last sequence number in the system is '%d'.", at.Value, info.Next-1)
	}
	return p.hub().FindEvent(p.hubContext(), r.place.partition, at)
}

// eventReader reads a partition for one link. It holds no more than one page of
// events, which it shares with readers nearby, and none before the client grants credit.
type eventReader struct {
	peer   *peer
	sender *amqp.Sender
	place  readerPlace
	name   string
	// epoch is the owner level, if owned.
	epoch int64
	owned bool
	// metrics: the client wants to know the state of the partition.
	metrics bool
	// settled: events are sent settled, and nothing is heard of them.
	settled bool
	// next is the sequence number of the next event; the goroutine's own.
	next int64
	// unsettled counts the events without outcome.
	unsettled atomic.Int64
	// credit has room for one signal: there may be credit, or fewer are unsettled.
	credit chan struct{}
	ctx    context.Context
	stop   context.CancelFunc
	forget func()
	// batch has room for what is sent at a time, pieces for the parts of each
	// message and numbers for its sequence number; the goroutine's own.
	batch   [eventBatch]amqp.Message
	pieces  [eventBatch][2][]byte
	numbers [eventBatch]int64
}

// label is the reader's name in texts; 'nil' is the service's word for none.
func (r *eventReader) label() string {
	if r.name == "" {
		return "nil"
	}
	return fmt.Sprintf("%.64s", r.name)
}

// Ready implements amqp.Source.
func (r *eventReader) Ready(*amqp.Sender) { r.signal() }

func (r *eventReader) signal() {
	select {
	case r.credit <- struct{}{}:
	default:
	}
}

// Outcome implements amqp.Source. Whatever the client says, the event stays in
// the log and the reader goes on.
func (r *eventReader) Outcome(sent *amqp.Sent, _ wire.DeliveryState) {
	_ = sent.Settle(nil)
	if r.unsettled.Add(-1) == maxUnsettledEvents-1 {
		r.signal()
	}
}

// Closed implements amqp.Source.
func (r *eventReader) Closed(*amqp.Sender, []*amqp.Sent, error) {
	r.forget()
	r.peer.server.readers.remove(r)
	r.stop()
}

// run sends events until the link ends.
func (r *eventReader) run() {
	err := r.pump()
	if r.ctx.Err() != nil || errors.Is(err, amqp.ErrLinkClosed) || errors.Is(err, hub.ErrUnanswered) {
		return
	}
	r.sender.Close(r.peer.refuse("event reading", err))
}

// pump sends events and returns why it cannot any more.
func (r *eventReader) pump() error {
	pages, done := r.peer.server.pagesOf(r.place.hub)
	defer done()
	for {
		if err := r.waitForCredit(); err != nil {
			return err
		}
		began := time.Now()
		page, next, err := pages.get(r.ctx, r.place.partition, r.next)
		switch {
		case err != nil:
		case page != nil:
			r.place.hub.ObserveEventRead(time.Since(began))
			err = r.sendPage(page)
		case next > r.next:
			r.next = next
		default:
			err = r.place.hub.WaitEvent(r.ctx, r.place.partition, r.next)
		}
		if err != nil {
			return err
		}
	}
}

// sendPage sends what a page has for the reader.
func (r *eventReader) sendPage(page *eventPage) error {
	for r.next = max(r.next, page.first); r.next < page.next; {
		if err := r.waitForRoom(); err != nil {
			return err
		}
		if err := r.place.hub.FaultEvents(r.ctx, r.peer.protocol, peerSocket{r.peer}); err != nil {
			return err
		}
		taken, err := r.sendBatch(page)
		if errors.Is(err, amqp.ErrWouldBlock) {
			if taken > 0 {
				continue
			}
			select {
			case <-r.credit:
			case <-r.ctx.Done():
				return r.ctx.Err()
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// sendBatch gives the link the next events of a page and returns how many it took.
func (r *eventReader) sendBatch(page *eventPage) (taken int, err error) {
	room := int64(eventBatch)
	if !r.settled {
		room = min(room, maxUnsettledEvents-r.unsettled.Load())
	}
	var metrics []byte
	if r.metrics {
		info, err := r.place.hub.PartitionInfo(r.place.partition)
		if err != nil {
			return 0, err
		}
		metrics = appendMetrics(nil, info, r.peer.server.now())
	}
	n, next := 0, r.next
	for ; next < page.next && int64(n) < room; next++ {
		event := page.event(next)
		if len(event) == 0 {
			continue
		}
		pieces := r.pieces[n][:0]
		if r.metrics {
			pieces = append(pieces, metrics)
		}
		pieces = append(pieces, event)
		r.batch[n] = amqp.Message{Payload: pieces, Settled: r.settled}
		r.numbers[n] = next
		n++
	}
	if !r.settled {
		r.unsettled.Add(int64(n))
	}
	taken, err = r.sender.TrySendBatch(r.batch[:n])
	if !r.settled {
		r.unsettled.Add(int64(taken - n))
	}
	if taken < n {
		next = r.numbers[taken]
	}
	r.next = next
	clear(r.pieces[:n])
	clear(r.batch[:n])
	return taken, err
}

// waitForCredit waits until the client wants an event, so that nothing is read
// for one that does not.
func (r *eventReader) waitForCredit() error {
	for r.sender.Credit() == 0 {
		r.sender.WantReady()
		select {
		case <-r.credit:
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	return nil
}

// waitForRoom waits while too many events are unsettled.
func (r *eventReader) waitForRoom() error {
	for r.unsettled.Load() >= maxUnsettledEvents {
		select {
		case <-r.credit:
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	return nil
}
