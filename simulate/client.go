package simulate

import (
	"bytes"
	"encoding/json"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/simulate/template"
)

// client is the hub's view of one connection of a device. Its methods only schedule what follows.
type client struct {
	d          *device
	generation uint64
}

// DeliverMethod implements hub.Client.
func (c *client) DeliverMethod(req iothub.MethodRequest) error {
	c.d.of.methods.Add(1)
	m, known := c.d.of.plan.answer(req.MethodName)
	if known && m.ignore {
		return nil
	}
	c.d.after(m.delay, func() { c.d.answer(req, m, known) })
	return nil
}

// DeliverDesired implements hub.Client.
func (c *client) DeliverDesired(_ int64, body []byte) {
	body = bytes.Clone(body)
	c.d.after(c.d.of.plan.followAfter, func() { c.d.reportPatch(body) })
}

// C2DWaiting implements hub.Client.
func (c *client) C2DWaiting() { c.d.after(0, c.d.receive) }

// Disconnect implements hub.Client. It may come before Connect has returned: what follows comes after that in any case.
func (c *client) Disconnect(reason *iothub.Error) {
	c.d.after(0, func() { c.d.lost(c.generation, reason) })
}

// answer answers a direct method.
func (d *device) answer(req iothub.MethodRequest, m methodPlan, known bool) {
	conn := d.connection()
	if conn == nil {
		return
	}
	response := unknownMethod(req.MethodName)
	if known {
		e := d.environment(d.s.o.Now().UnixNano())
		e.MethodName, e.Payload = req.MethodName, req.Payload
		response = iothub.MethodResponse{Status: m.status, Payload: m.payload.Append(nil, d.answerState(req.MethodName, m.payload), &e)}
	}
	conn.AnswerMethod(req.RequestID, response)
}

// answerState returns what the answers to a method remember.
func (d *device) answerState(method string, payload *template.Template) *template.State {
	if d.answers == nil {
		d.answers = map[string]*template.State{}
	}
	if _, own := d.of.plan.methods[method]; !own {
		method = "*"
	}
	if d.answers[method] == nil {
		if d.random == nil {
			d.random = d.randomness(answerPurpose)
		}
		d.answers[method] = payload.NewState(d.random)
	}
	return d.answers[method]
}

// answerPurpose is what a device's answers draw from; telemetry has the numbers before it.
const answerPurpose = 1 << 20

// receive takes every message that waits.
func (d *device) receive() {
	conn, plan := d.connection(), d.of.plan.receive
	for conn != nil && plan != nil {
		delivery, ok := conn.ReceiveC2D()
		if !ok {
			return
		}
		d.of.received.Add(1)
		d.after(plan.delay, func() { d.settle(delivery, plan.action) })
	}
}

func (d *device) settle(delivery hub.Delivery, action string) {
	h := d.s.o.Hub
	failed := func(err error) {
		if err != nil {
			d.of.failedWith(err)
		}
	}
	switch action {
	case "abandon":
		failed(h.AbandonC2D(d.s.ctx, d.id, delivery.LockToken))
	case "reject":
		failed(h.RejectC2D(d.s.ctx, d.id, delivery.LockToken))
	default:
		h.CompleteC2DAsync(d.id, delivery.LockToken, failed)
	}
}

// reportPatch reports a change of the desired properties as it is.
func (d *device) reportPatch(body []byte) {
	conn := d.connection()
	patch, err := iothub.DecodeObject(body)
	if conn == nil || err != nil {
		return
	}
	delete(patch, "$version")
	d.report(conn, patch)
}

// reportAll reports what of the desired properties is not reported yet.
func (d *device) reportAll(conn *hub.Connection) {
	body, err := conn.Twin(d.s.ctx)
	if err != nil {
		d.of.failedWith(err)
		return
	}
	twin, err := iothub.DecodeObject(body)
	if err != nil {
		return
	}
	desired, _ := twin["desired"].(map[string]any)
	reported, _ := twin["reported"].(map[string]any)
	delete(desired, "$version")
	delete(reported, "$version")
	if patch := missing(desired, reported); len(patch) > 0 {
		d.report(conn, patch)
	}
}

// missing returns the part of want that have does not say.
func missing(want, have map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range want {
		there, ok := have[name]
		object, isObject := value.(map[string]any)
		thereObject, isThere := there.(map[string]any)
		switch {
		case isObject && isThere:
			if inner := missing(object, thereObject); len(inner) > 0 {
				out[name] = inner
			}
		case !ok || !sameJSON(value, there):
			out[name] = value
		}
	}
	return out
}

func sameJSON(a, b any) bool {
	textA, errA := json.Marshal(a)
	textB, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(textA, textB)
}

func (d *device) report(conn *hub.Connection, patch map[string]any) {
	body, err := json.Marshal(patch)
	if err == nil {
		_, err = conn.Report(d.s.ctx, body, nil)
	}
	if err != nil {
		d.of.failedWith(err)
		return
	}
	d.of.reported.Add(1)
}
