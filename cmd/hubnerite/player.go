package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Bounds of a replay.
const (
	// replayTokenLife is how long a device may be connected.
	replayTokenLife = 24 * time.Hour
	// replayCalls are the direct methods that may be under way at once.
	replayCalls = 16
	// replayErrors are the failures that are printed in full.
	replayErrors = 10
	// methodTimeout is how long a device may take to answer, as where a caller says nothing.
	methodTimeout = 30
)

// part is what a replay does for an activity: "" for nothing.
type part string

const (
	partTelemetry part = "telemetry"
	partReport    part = "report"
	partC2D       part = "c2d"
	partTwin      part = "twin"
	partMethod    part = "method"
)

// partOf says which part an activity is. What follows from others by itself, such as the delivery of a message, is followed.
func partOf(a *activity) (p part, followed bool) {
	switch a.Kind + " " + a.Event {
	case "telemetry received":
		return partTelemetry, false
	case "twin reported":
		return partReport, false
	case "twin patched", "twin replaced":
		return partTwin, false
	case "c2d sent":
		return partC2D, false
	case "method called":
		return partMethod, false
	}
	return "", a.Kind == "c2d" || a.Kind == "method" || a.Kind == "feedback"
}

func (p part) ofDevice() bool { return p == partTelemetry || p == partReport }

// player does what was recorded.
type player struct {
	app     *app
	service *service
	devices bool
	acts    []*activity
	models  map[iothub.ID]string
	keys    map[iothub.ID]string // connection strings
	open    map[iothub.ID]*mqttDevice
	calls   sync.WaitGroup
	slots   chan struct{}
	// unanswered are the request IDs of the calls that failed when they were recorded.
	unanswered map[string]bool

	mu                 sync.Mutex // of what is below
	answers            map[iothub.ID]map[string][]*activity
	done, left, failed map[string]int
	printed            int
}

// newPlayer chooses what is to be done and counts what is not.
func newPlayer(a *app, s *service, c *replayCmd, all []activity) *player {
	p := &player{
		app: a, service: s, devices: c.Devices, models: map[iothub.ID]string{}, keys: map[iothub.ID]string{}, open: map[iothub.ID]*mqttDevice{},
		unanswered: map[string]bool{}, slots: make(chan struct{}, replayCalls), answers: map[iothub.ID]map[string][]*activity{},
		done: map[string]int{}, left: map[string]int{}, failed: map[string]int{},
	}
	for i := range all {
		if all[i].Kind == "method" && all[i].Event == "failed" {
			p.unanswered[all[i].RequestID] = true
		}
	}
	for i := range all {
		one := &all[i]
		if ok, _ := path.Match(c.Device, one.Device); c.Device != "" && !ok {
			continue
		}
		if one.Kind == "method" && one.Event == "answered" {
			of := p.answers[one.id()]
			if of == nil {
				of = map[string][]*activity{}
				p.answers[one.id()] = of
			}
			of[one.Method] = append(of[one.Method], one)
		}
		if model := one.SystemProperties["modelId"]; one.Kind == "telemetry" && model != "" && p.models[one.id()] == "" {
			p.models[one.id()] = model
		}
		what, followed := partOf(one)
		switch {
		case what == partMethod && c.Devices && c.Service && p.unanswered[one.RequestID]:
			// There is no answer that the device could give.
			p.left["method without an answer"]++
		case what != "" && (what.ofDevice() && c.Devices || !what.ofDevice() && c.Service):
			p.acts = append(p.acts, one)
		case what != "":
			// Somebody else's part; nobody is surprised.
		case !followed:
			p.left[one.Kind]++
		}
	}
	return p
}

// prepare finds the devices, and creates those that do not exist if it may.
func (p *player) prepare(create bool) error {
	var missing []string
	for _, a := range p.acts {
		// A module's device first.
		for _, id := range []iothub.ID{a.id().Device(), a.id()} {
			if _, known := p.keys[id]; known {
				continue
			}
			var d device
			text, err := p.app.ask("/service" + identityPath(id) + "?api-version=" + apiVersion)
			switch {
			case errors.Is(err, errNotFound) && create:
				text, err = p.create(id)
			case errors.Is(err, errNotFound):
				missing = append(missing, id.String())
				p.keys[id] = ""
				continue
			}
			if err == nil {
				err = json.Unmarshal(text, &d)
			}
			if err != nil {
				return fmt.Errorf("device %s: %w", id, err)
			}
			p.keys[id] = d.identityString(p.service.info, id)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("the hub does not have %s; --create makes them", strings.Join(missing, ", "))
	}
	return nil
}

func identityPath(id iothub.ID) string {
	if id.IsModule() {
		return devicePath(id.DeviceID) + "/modules/" + url.PathEscape(id.ModuleID)
	}
	return devicePath(id.DeviceID)
}

func (p *player) create(id iothub.ID) ([]byte, error) {
	body := map[string]any{"deviceId": id.DeviceID, "authentication": map[string]any{"type": iothub.AuthSAS}}
	if id.IsModule() {
		body["moduleId"] = id.ModuleID
	} else {
		body["status"] = iothub.StatusEnabled
	}
	return p.ask(http.MethodPut, "/service"+identityPath(id)+"?api-version="+apiVersion, body, 0)
}

// ask calls the management API. more is how much longer than usual that may take.
func (p *player) ask(method, path string, body any, more time.Duration) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return p.app.request(method, path, bytes.NewReader(text), askTimeout+more)
}

// act does one activity, and counts. A direct method is waited for elsewhere, because its device may take its time.
func (p *player) act(a *activity) {
	what, _ := partOf(a)
	if what == partMethod {
		if p.devices && strings.Contains(p.keys[a.id()], ";SharedAccessKey=") {
			// It must be there to be called.
			if _, err := p.connect(a.id()); err != nil {
				p.count(what, a, err)
				return
			}
		}
		p.slots <- struct{}{}
		p.calls.Go(func() {
			defer func() { <-p.slots }()
			p.count(what, a, p.call(a))
		})
		return
	}
	var err error
	switch what {
	case partTelemetry, partReport:
		err = p.asDevice(what, a)
	case partC2D:
		err = p.c2d(a)
	case partTwin:
		err = p.twin(a)
	}
	p.count(what, a, err)
}

func (p *player) count(what part, a *activity, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, errNoKey):
		p.left[string(what)+" of devices with certificates"]++
	case err != nil:
		p.failed[string(what)]++
		if p.printed++; p.printed <= replayErrors {
			_, _ = fmt.Fprintf(p.app.stderr, "hubnerite: %s of %s after %s: %v\n", what, a.id(), a.offset, err)
		}
	default:
		p.done[string(what)]++
	}
}

// connect returns the connection of a device, which stays open. One that has ended is made again.
func (p *player) connect(id iothub.ID) (*mqttDevice, error) {
	if d := p.open[id]; d != nil {
		select {
		case <-d.ended:
		default:
			return d, nil
		}
	}
	o := deviceOptions{modelID: p.models[id], life: replayTokenLife}
	if p.answers[id] != nil {
		o.answer = func(name string) (int, []byte) { return p.answer(id, name) }
	}
	d, err := p.service.dial(p.keys[id], id, o)
	if err == nil {
		p.open[id] = d
	}
	return d, err
}

// answer is the next answer that the device gave to that method.
func (p *player) answer(id iothub.ID, name string) (int, []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	recorded := p.answers[id][name]
	if len(recorded) == 0 {
		return 0, nil
	}
	p.answers[id][name] = recorded[1:]
	return recorded[0].Status, recorded[0].Response
}

func (p *player) close() {
	for _, d := range p.open {
		d.close()
	}
}

// asDevice sends telemetry or reports properties.
func (p *player) asDevice(what part, a *activity) error {
	d, err := p.connect(a.id())
	if err != nil {
		return err
	}
	if what == partReport {
		change, err := readChange(a.Change)
		if err != nil {
			return err
		}
		patch, err := json.Marshal(withoutMetadata(change.Properties.Reported))
		if err != nil {
			return err
		}
		return d.report(patch)
	}
	body, err := a.bytes()
	if err != nil {
		return err
	}
	properties := url.Values{}
	for name, value := range a.ApplicationProperties {
		properties.Set(name, value)
	}
	for name, short := range systemBag() {
		if value := a.SystemProperties[name]; value != "" {
			properties.Set(short, value)
		}
	}
	return d.telemetry(propertyBag(properties), body)
}

// bytes is the body of a message.
func (a *activity) bytes() ([]byte, error) {
	if a.BodyEncoding == "base64" {
		return base64.StdEncoding.DecodeString(a.Body)
	}
	return []byte(a.Body), nil
}

// c2d sends a cloud-to-device message that lives as long as the one that was recorded.
func (p *player) c2d(a *activity) error {
	body := map[string]any{"body": a.Body, "bodyEncoding": a.BodyEncoding}
	for _, name := range []string{"messageId", "correlationId", "userId", "contentType", "contentEncoding"} {
		if value := a.SystemProperties[name]; value != "" {
			body[name] = value
		}
	}
	if len(a.ApplicationProperties) > 0 {
		body["applicationProperties"] = a.ApplicationProperties
	}
	if a.Ack != "" {
		body["ack"] = a.Ack
	}
	if a.ExpiryTime != nil {
		now, err := p.app.now()
		if err != nil {
			return err
		}
		body["expiryTime"] = now.Add(min(a.ExpiryTime.Sub(a.Time), 48*time.Hour-time.Minute)).UTC()
	}
	_, err := p.ask(http.MethodPost, identityPath(a.id())+"/c2d", body, 0)
	return err
}

// twinChange is what the management API says of a change.
type twinChange struct {
	Tags       json.RawMessage `json:"tags,omitempty"`
	Properties struct {
		Desired  map[string]json.RawMessage `json:"desired,omitempty"`
		Reported map[string]json.RawMessage `json:"reported,omitempty"`
	} `json:"properties"`
}

func readChange(text []byte) (twinChange, error) {
	var change twinChange
	err := json.Unmarshal(text, &change)
	return change, err
}

// twin changes tags and desired properties as the back end did.
func (p *player) twin(a *activity) error {
	change, err := readChange(a.Change)
	if err != nil {
		return err
	}
	body := map[string]any{}
	if len(change.Tags) > 0 {
		body["tags"] = change.Tags
	}
	if change.Properties.Desired != nil {
		body["properties"] = map[string]any{"desired": withoutMetadata(change.Properties.Desired)}
	}
	method := http.MethodPatch
	if a.Event == "replaced" {
		method = http.MethodPut
	}
	_, err = p.ask(method, "/service/twins"+strings.TrimPrefix(identityPath(a.id()), "/devices")+"?api-version="+apiVersion, body, 0)
	return err
}

// call calls a direct method. One that failed in the recording may fail again.
func (p *player) call(a *activity) error {
	body := map[string]any{"methodName": a.Method, "responseTimeoutInSeconds": methodTimeout}
	if len(a.Payload) > 0 {
		body["payload"] = a.Payload
	}
	path := "/service/twins" + strings.TrimPrefix(identityPath(a.id()), "/devices") + "/methods?api-version=" + apiVersion
	_, err := p.ask(http.MethodPost, path, body, secondsOf(methodTimeout))
	if p.unanswered[a.RequestID] {
		return nil
	}
	return err
}
