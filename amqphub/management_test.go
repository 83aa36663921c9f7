package amqphub

import (
	"slices"
	"strconv"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
)

func TestManagement(t *testing.T) {
	r := newRig(t)
	partition := r.bodies(3)
	empty := (partition + 1) % r.hub.Partitions()
	for _, address := range []string{"$management", "hub1/$management"} {
		m := r.management(r.plain("service"), address)
		got := m.read("com.microsoft:eventhub", "hub1", nil, 200)
		ids, _ := got["partition_ids"].([]string)
		if _, ok := got["created_at"].(time.Time); !ok || got["name"] != "hub1" || got["type"] != "com.microsoft:eventhub" ||
			got["partition_count"] != int32(4) || !slices.Equal(ids, []string{"0", "1", "2", "3"}) || got["georeplication_factor"] != int32(1) {
			t.Errorf("%v", got)
		}
		info, err := r.hub.PartitionInfo(partition)
		if err != nil {
			t.Fatal(err)
		}
		got = m.read("com.microsoft:partition", "HUB1", strconv.Itoa(partition), 200)
		at, _ := got["last_enqueued_time_utc"].(time.Time)
		if got["begin_sequence_number"] != int64(0) || got["last_enqueued_sequence_number"] != int64(2) || got["partition"] != strconv.Itoa(partition) ||
			got["last_enqueued_offset"] != strconv.FormatInt(info.LastOffset, 10) || !at.Equal(info.LastEnqueuedTime) || got["is_partition_empty"] != false {
			t.Errorf("%v", got)
		}
		got = m.read("com.microsoft:partition", "hub1", strconv.Itoa(empty), 200)
		if got["begin_sequence_number"] != int64(-1) || got["last_enqueued_sequence_number"] != int64(-1) || got["last_enqueued_offset"] != "-1" ||
			got["is_partition_empty"] != true || !got["last_enqueued_time_utc"].(time.Time).Equal(time.Unix(0, 0)) {
			t.Errorf("%v", got)
		}
		m.read("com.microsoft:partition", "hub1", "4", 400)
		m.read("com.microsoft:partition", "hub1", nil, 400)
		m.read("com.microsoft:consumergroup", "hub1", nil, 400)
		m.read("com.microsoft:eventhub", "other", nil, 404)
	}
}

// management is a client of $management.
type management struct {
	r   *rig
	snd *goamqp.Sender
	rcv *goamqp.Receiver
	// token goes with every request, if there is one.
	token string
}

func (r *rig) management(s *goamqp.Session, address string) *management {
	snd, err := s.NewSender(r.ctx(), address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	rcv, err := s.NewReceiver(r.ctx(), address, &goamqp.ReceiverOptions{TargetAddress: "reply"})
	if err != nil {
		r.t.Fatal(err)
	}
	return &management{r: r, snd: snd, rcv: rcv}
}

func (m *management) read(kind, name string, partition any, want int32) map[string]any {
	m.r.t.Helper()
	reply := "reply"
	properties := map[string]any{"operation": "READ", "type": kind, "name": name}
	if partition != nil {
		properties["partition"] = partition
	}
	if m.token != "" {
		properties["security_token"] = m.token
	}
	request := &goamqp.Message{
		Properties:            &goamqp.MessageProperties{MessageID: uint64(7), ReplyTo: &reply},
		ApplicationProperties: properties, Data: [][]byte{[]byte("[]")},
	}
	if err := m.snd.Send(m.r.ctx(), request, nil); err != nil {
		m.r.t.Fatal(err)
	}
	answer := m.r.receiveEvent(m.rcv)
	if err := m.rcv.AcceptMessage(m.r.ctx(), answer); err != nil {
		m.r.t.Fatal(err)
	}
	if answer.ApplicationProperties["status-code"] != want || answer.Properties.CorrelationID != uint64(7) {
		m.r.t.Errorf("%s of %s: %v", kind, name, answer.ApplicationProperties)
	}
	if condition, _ := answer.ApplicationProperties["error-condition"].(string); (condition == "") != (want == 200) {
		m.r.t.Errorf("%s of %s: condition %q", kind, name, condition)
	}
	value, _ := answer.Value.(map[string]any)
	return value
}

// A request to the management node may bring its own token, and without any it is refused.
func TestManagementTokens(t *testing.T) {
	r := newRig(t)
	resource := "amqp://hub1.servicebus.windows.net/hub1"
	partly := r.dial(goamqp.SASLTypeAnonymous())
	audience := "amqps://hub1.servicebus.windows.net/" + readerAddress(0)
	if status, _ := r.cbs(partly).put("1", "servicebus.windows.net:sastoken", audience, r.eventHubToken("service", audience)); status != 200 {
		t.Fatal(status)
	}
	for name, s := range map[string]*goamqp.Session{"a stranger": r.dial(goamqp.SASLTypeAnonymous()), "with a token for a partition": partly} {
		for _, c := range []struct {
			token string
			want  int32
		}{
			{"", 401},
			{r.eventHubToken("service", resource), 200},
			{r.eventHubToken("service", audience), 401},
			{r.eventHubToken("registryRead", resource), 401},
			{signWithText(resource, "service", "d3Jvbmcga2V5", r.Now().Add(time.Minute)), 401},
			{"", 401}, // what a request brought along is not kept
		} {
			m := r.management(s, "$management")
			m.token = c.token
			t.Log(name, c.want)
			m.read("com.microsoft:eventhub", "hub1", nil, c.want)
		}
	}
}
