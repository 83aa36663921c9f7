package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestFaults(t *testing.T) {
	w := newWorld(t)
	d := w.connect(iothub.ID{DeviceID: "d"})
	var list struct{ Faults []Fault }
	if w.decode(w.get("/faults"), http.StatusOK, &list); list.Faults == nil || len(list.Faults) != 0 {
		t.Errorf("at the start: %+v", list)
	}
	var drop, slow, got Fault
	w.decode(w.call("POST", "/faults", `{"device":"d","operation":"telemetry","protocols":["mqtt"],"action":"drop","acknowledge":true,"count":1,"seed":7}`), http.StatusCreated, &drop)
	w.decode(w.call("POST", "/faults", `{"operation":"GET /twins/{deviceID}","action":"delay","probability":0.5,"delay":{"distribution":"normal","mean":"1.5","deviation":"250ms"}}`), http.StatusCreated, &slow)
	if drop.ID == "" || drop.Seed != 7 || drop.Probability != 1 || slow.Seed == 0 || slow.Delay.Mean != "1.5s" || slow.Delay.Deviation != "250ms" {
		t.Errorf("added %+v and %+v, %+v", drop, slow, slow.Delay)
	}
	send(t, d, iothub.Telemetry{Body: []byte("lost")})
	send(t, d, iothub.Telemetry{Body: []byte("kept")})
	w.decode(w.get("/faults/"+drop.ID), http.StatusOK, &got)
	if got.Hits != 1 || got.Matched != 2 {
		t.Errorf("counters %+v", got)
	}
	if kept := w.messages("/messages"); len(kept) != 1 || kept[0].Body != "kept" {
		t.Errorf("kept %+v", kept)
	}
	if hits := w.activity("/activity?kind=fault").Activity; len(hits) != 1 || hits[0].Rule != drop.ID || hits[0].Operation != "telemetry" {
		t.Errorf("hits %+v", hits)
	}
	if w.decode(w.get("/faults"), http.StatusOK, &list); len(list.Faults) != 2 || list.Faults[0].ID != drop.ID {
		t.Errorf("listed %+v", list)
	}
	if rec := w.call("DELETE", "/faults/"+drop.ID, ""); rec.Code != http.StatusNoContent {
		t.Errorf("removed: %d", rec.Code)
	}
	for _, gone := range []string{"GET", "DELETE"} {
		if rec := w.call(gone, "/faults/"+drop.ID, ""); rec.Code != http.StatusNotFound {
			t.Errorf("%s of one that is gone: %d", gone, rec.Code)
		}
	}
	var removed struct{ Removed int }
	if w.decode(w.call("DELETE", "/faults", ""), http.StatusOK, &removed); removed.Removed != 1 {
		t.Errorf("removed %d", removed.Removed)
	}
	for body, says := range map[string]string{
		`{"operation":"telemetry","action":"explode"}`:                                          "body.action",
		`{"operation":"x","action":"drop"}`:                                                     "is none of telemetry, c2d, c2d-send, feedback, file-notification",
		`{"operation":"telemetry","action":"refuse","code":"Nonsense"}`:                         "body.code",
		`{"operation":"telemetry","action":"refuse","code":123456}`:                             "body.code",
		`{"operation":"telemetry","action":"delay","delay":{"value":"soon"}}`:                   "body.delay.value",
		`{"operation":"telemetry","action":"delay"}`:                                            "a delay needs",
		`{"operation":"telemetry","action":"drop","probability":2}`:                             "body.probability",
		`{"operation":"telemetry","action":"drop","surprise":2}`:                                "surprise",
		`{"operation":"handshake","action":"certificate","device":"d"}`:                         "no device yet",
		`{"operation":"telemetry","action":"throttle","rate":0,"code":"IotHubQuotaExceeded"}`:   "rate",
		`{"operation":"telemetry","action":"refuse","code":"403002","protocols":["telepathy"]}`: "telepathy",
	} {
		if rec := w.call("POST", "/faults", body); rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), says) {
			t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
		}
	}
}
