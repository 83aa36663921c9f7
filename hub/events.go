package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// What front ends need of the telemetry log, which is not theirs to import.
type (
	// PartitionInfo describes a partition.
	PartitionInfo = store.PartitionInfo
	// Position is where to begin to read a partition.
	Position = store.Position
)

// The kinds of Position; see the store package.
const (
	PositionEarliest       = store.PositionEarliest
	PositionLatest         = store.PositionLatest
	PositionSequenceNumber = store.PositionSequenceNumber
	PositionOffset         = store.PositionOffset
	PositionEnqueuedTime   = store.PositionEnqueuedTime
)

// EventHubName returns the name of the Event Hubs-compatible entity, which is
// the hub's name: clients of the redirect assume that.
func (h *Hub) EventHubName() string { return h.Name() }

// Partitions returns the number of partitions of the telemetry log.
func (h *Hub) Partitions() int { return h.o.Log.Partitions() }

// PartitionInfo describes a partition. It returns ArgumentInvalid for a number
// that there is not.
func (h *Hub) PartitionInfo(p int) (PartitionInfo, error) {
	if err := h.checkPartition(p); err != nil {
		return PartitionInfo{}, err
	}
	return h.o.Log.Info(p)
}

// FindEvent returns the sequence number of the first event to read from a
// position on; see store.Log.
func (h *Hub) FindEvent(ctx context.Context, p int, at Position) (int64, error) {
	if err := h.checkPartition(p); err != nil {
		return 0, err
	}
	return h.o.Log.Find(ctx, p, at)
}

// ReadEvents returns up to limit kept events of a partition in order, from
// sequence number from on, or none when there are none yet. Telemetry and what
// the hub itself tells stand in one order. Bodies must not be changed.
func (h *Hub) ReadEvents(ctx context.Context, p int, from int64, limit int) ([]iothub.Telemetry, error) {
	var events []iothub.Telemetry
	_, err := h.EachEvent(ctx, p, from, limit, func(t *iothub.Telemetry) bool {
		events = append(events, *t)
		return true
	})
	return events, err
}

// EachEvent calls visit with up to limit kept events of a partition in order,
// from sequence number from on, until visit returns false. It returns the
// sequence number to go on from, which is from when there are none yet. The
// event that visit gets is overwritten by the next; its body must not be changed.
func (h *Hub) EachEvent(ctx context.Context, p int, from int64, limit int, visit func(*iothub.Telemetry) bool) (next int64, err error) {
	if err := h.checkPartition(p); err != nil {
		return from, err
	}
	var t iothub.Telemetry
	for visited := false; !visited; {
		records, err := h.o.Log.Read(ctx, p, from, limit)
		if err != nil || len(records) == 0 {
			return from, err
		}
		for i := range records {
			r := &records[i]
			from = r.SequenceNumber + 1
			t, err = iothub.DecodeTelemetry(r.Payload)
			if err != nil {
				h.o.Logger.Error("a stored message cannot be read; it is passed over",
					"partition", r.Partition, "number", r.SequenceNumber, "err", err)
				continue
			}
			t.EnqueuedTime, t.Partition = r.EnqueuedTime, r.Partition
			t.SequenceNumber, t.Offset = r.SequenceNumber, r.Offset
			visited = true
			if !visit(&t) {
				return from, nil
			}
		}
	}
	return from, nil
}

// WaitEvent returns once the partition has an event with a sequence number of
// at least from, or ctx ends, or the hub closes.
func (h *Hub) WaitEvent(ctx context.Context, p int, from int64) error {
	if err := h.checkPartition(p); err != nil {
		return err
	}
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(h.ending, func() { cancel(errClosing()) })
	defer stop()
	if err := h.o.Log.Wait(ctx, p, from); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	return nil
}

func (h *Hub) checkPartition(p int) error {
	if p < 0 || p >= h.Partitions() {
		return iothub.NewError(iothub.CodeArgumentInvalid, "There is no partition %d; the hub has %d.", p, h.Partitions())
	}
	return nil
}

// DefaultConsumerGroup is the consumer group that every hub has.
const DefaultConsumerGroup = "$Default"

// MaxConsumerGroups is how many consumer groups a hub may have, with $Default.
// Source: IoT Hub quotas (standard tier, built-in endpoint).
const MaxConsumerGroups = 20

// maxConsumerGroupName is the longest name in characters.
// Source: Event Hubs quotas and limits.
const maxConsumerGroupName = 50

// consumerGroupQueue keeps the names of the groups beside $Default.
const consumerGroupQueue = "/consumerGroups"

// loadConsumerGroups reads the groups that were created before.
func (h *Hub) loadConsumerGroups(ctx context.Context) error {
	entries, err := h.o.Queues.Load(ctx, consumerGroupQueue)
	if err != nil {
		return fmt.Errorf("hub: consumer groups: %w", err)
	}
	for _, e := range entries {
		h.consumerGroups[strings.ToLower(string(e.Payload))] = consumerGroup{name: string(e.Payload), entry: e.Number}
	}
	return nil
}

// consumerGroup is a group beside $Default and where it is stored.
type consumerGroup struct {
	name  string
	entry uint64
}

// ConsumerGroups returns the names of the consumer groups, $Default first.
func (h *Hub) ConsumerGroups() []string {
	h.consumerGroupsMu.Lock()
	defer h.consumerGroupsMu.Unlock()
	names := make([]string, 0, len(h.consumerGroups)+1)
	for _, g := range h.consumerGroups {
		names = append(names, g.name)
	}
	slices.Sort(names)
	return slices.Insert(names, 0, DefaultConsumerGroup)
}

// ConsumerGroup returns the name of a group as it was created; names are
// compared without regard to case. False: there is none.
func (h *Hub) ConsumerGroup(name string) (string, bool) {
	if strings.EqualFold(name, DefaultConsumerGroup) {
		return DefaultConsumerGroup, true
	}
	h.consumerGroupsMu.Lock()
	defer h.consumerGroupsMu.Unlock()
	g, ok := h.consumerGroups[strings.ToLower(name)]
	return g.name, ok
}

// AddConsumerGroup creates a consumer group, durably; one that is there already
// stays. A name has 1 to 50 letters, digits, '.', '-' and '_' and begins and
// ends with a letter or digit: ArgumentInvalid. More than MaxConsumerGroups are
// QuotaExceeded.
func (h *Hub) AddConsumerGroup(name string) error {
	if _, there := h.ConsumerGroup(name); there {
		return nil
	}
	if !validConsumerGroup(name) {
		return iothub.NewError(iothub.CodeArgumentInvalid,
			"A consumer group has a name of 1 to %d letters, digits, '.', '-' and '_', not %.64q.", maxConsumerGroupName, name)
	}
	h.consumerGroupsMu.Lock()
	defer h.consumerGroupsMu.Unlock()
	key := strings.ToLower(name)
	if _, there := h.consumerGroups[key]; there {
		return nil
	}
	if len(h.consumerGroups)+1 >= MaxConsumerGroups {
		return iothub.NewError(iothub.CodeIotHubQuotaExceeded, "A hub may have %d consumer groups.", MaxConsumerGroups)
	}
	number, err := h.o.Queues.Append(context.Background(), consumerGroupQueue, []byte(name))
	if err != nil {
		return err
	}
	h.consumerGroups[key] = consumerGroup{name: name, entry: number}
	return nil
}

// RemoveConsumerGroup deletes a consumer group. It reports whether there was
// one; $Default stays: ArgumentInvalid. Readers that are attached keep reading.
func (h *Hub) RemoveConsumerGroup(name string) (bool, error) {
	if strings.EqualFold(name, DefaultConsumerGroup) {
		return false, iothub.NewError(iothub.CodeArgumentInvalid, "The consumer group %s cannot be deleted.", DefaultConsumerGroup)
	}
	h.consumerGroupsMu.Lock()
	defer h.consumerGroupsMu.Unlock()
	key := strings.ToLower(name)
	g, there := h.consumerGroups[key]
	if !there {
		return false, nil
	}
	if err := h.o.Queues.Remove(context.Background(), consumerGroupQueue, g.entry); err != nil {
		return false, err
	}
	delete(h.consumerGroups, key)
	return true, nil
}

func validConsumerGroup(name string) bool {
	if len(name) == 0 || len(name) > maxConsumerGroupName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		inside := i > 0 && i < len(name)-1
		if !alphanumeric && (!inside || strings.IndexByte(".-_", c) < 0) {
			return false
		}
	}
	return true
}
