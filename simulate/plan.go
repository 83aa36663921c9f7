package simulate

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/simulate/template"
)

// plan is a spec with its templates compiled, shared by all devices of a simulation.
type plan struct {
	telemetry []telemetryPlan
	methods   map[string]methodPlan
	// follow says whether desired properties are reported.
	follow      bool
	followAfter time.Duration
	// receive is nil when cloud-to-device messages are left waiting.
	receive *receivePlan
}

type telemetryPlan struct {
	every      time.Duration
	count      int
	body       *template.Template
	messageID  *template.Template
	properties []propertyPlan
	system     iothub.SystemProperties
}

type propertyPlan struct {
	name  string
	value *template.Template
}

type methodPlan struct {
	status  int
	payload *template.Template
	delay   time.Duration
	ignore  bool
}

type receivePlan struct {
	action string
	delay  time.Duration
}

func newPlan(spec seed.Simulation) (*plan, error) {
	p := &plan{methods: map[string]methodPlan{}}
	for i := range spec.Telemetry {
		t, err := newTelemetryPlan(&spec.Telemetry[i])
		if err != nil {
			return nil, err
		}
		p.telemetry = append(p.telemetry, t)
	}
	for name, m := range spec.Methods {
		payload, err := template.JSON(m.Payload, template.Options{Method: true})
		if err != nil {
			return nil, err
		}
		made := methodPlan{status: 200, payload: payload, delay: time.Duration(m.Delay), ignore: m.Ignore}
		if m.Status != nil {
			made.status = *m.Status
		}
		p.methods[name] = made
	}
	if f := spec.Twin; f != nil && (f.Follow == nil || *f.Follow) {
		p.follow, p.followAfter = true, time.Duration(f.Delay)
	}
	if r := spec.C2D; r != nil {
		p.receive = &receivePlan{r.Action, time.Duration(r.Delay)}
	}
	return p, nil
}

func newTelemetryPlan(t *seed.Telemetry) (telemetryPlan, error) {
	p := telemetryPlan{every: time.Duration(t.Every), count: t.Count}
	p.system.Component, p.system.OutputName = t.Component, t.Output
	if t.IsJSON() {
		p.system.ContentType, p.system.ContentEncoding = "application/json", "utf-8"
	}
	if t.ContentType != nil {
		p.system.ContentType = *t.ContentType
	}
	if t.ContentEncoding != nil {
		p.system.ContentEncoding = *t.ContentEncoding
	}
	var err error
	if p.body, err = t.Template(); err != nil {
		return p, err
	}
	if p.messageID, err = template.Text(t.MessageID, template.Options{}); err != nil {
		return p, err
	}
	for _, name := range slices.Sorted(maps.Keys(t.Properties)) {
		value, err := template.Text(t.Properties[name], template.Options{})
		if err != nil {
			return p, err
		}
		p.properties = append(p.properties, propertyPlan{name, value})
	}
	return p, nil
}

// answer returns the plan for a method, the one of * when it has none of its own.
func (p *plan) answer(method string) (methodPlan, bool) {
	m, ok := p.methods[method]
	if !ok {
		m, ok = p.methods["*"]
	}
	return m, ok
}

// unknownMethod is what a device says to a method that it does not have, as the SDKs' samples do.
func unknownMethod(method string) iothub.MethodResponse {
	payload, err := json.Marshal(map[string]string{"error": "there is no method " + method})
	if err != nil {
		panic(err) // a text always encodes
	}
	return iothub.MethodResponse{Status: 404, Payload: payload}
}
