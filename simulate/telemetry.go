package simulate

import (
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/simulate/template"
)

// sender sends one kind of telemetry of one device. It belongs to the schedule of telemetry alone.
type sender struct {
	d         *device
	plan      *telemetryPlan
	body, id  *template.State
	values    []*template.State
	sent      int
	buffer    []byte
	scheduled int64
	done      func(error)
}

// sender returns the task that sends the telemetry of a place in the plan, again and again.
func (d *device) sender(place int, start int64) func(now int64) (again int64) {
	plan := &d.of.plan.telemetry[place]
	random := d.randomness(uint64(place) + 1)
	s := &sender{d: d, plan: plan, scheduled: start, body: plan.body.NewState(random), id: plan.messageID.NewState(random)}
	for _, p := range plan.properties {
		s.values = append(s.values, p.value.NewState(random))
	}
	s.done = func(err error) {
		if err != nil {
			d.of.failed.Add(1)
			d.of.failedWith(err)
			return
		}
		d.of.sent.Add(1)
	}
	return s.send
}

// send sends one message, unless the device is not connected, and says when the next one is due. What was missed is not made up for.
func (s *sender) send(now int64) (again int64) {
	if s.d.of.ended.Load() {
		return never
	}
	if conn := s.d.connection(); conn != nil {
		e := s.d.environment(now)
		t := iothub.Telemetry{System: s.plan.system}
		s.buffer = s.plan.body.Append(s.buffer[:0], s.body, &e)
		t.Body = s.buffer
		t.System.MessageID = string(s.plan.messageID.Append(nil, s.id, &e))
		if len(s.values) > 0 {
			t.Properties = make(iothub.Properties, len(s.values))
			for i, value := range s.values {
				t.Properties[i] = iothub.Property{Name: s.plan.properties[i].name, Value: string(s.plan.properties[i].value.Append(nil, value, &e))}
			}
		}
		conn.SendTelemetry(s.d.s.ctx, t, s.done)
		if s.sent++; s.plan.count > 0 && s.sent >= s.plan.count {
			return never
		}
	}
	return s.next(now)
}

// next keeps the rhythm: the first time after now that is a whole number of intervals after the last one.
func (s *sender) next(now int64) int64 {
	every := int64(s.plan.every)
	if s.scheduled > now { // the clock was set back
		s.scheduled = now
	}
	s.scheduled += every
	if late := now - s.scheduled; late >= 0 {
		s.scheduled += (late/every + 1) * every
	}
	return s.scheduled
}
