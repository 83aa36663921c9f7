package query_test

import (
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
)

func TestEdgeRoutes(t *testing.T) {
	parser := query.NewParser()
	cases := []struct {
		text          string
		module, input string
		takes, leaves []string
	}{
		{
			text:  "FROM /messages/* INTO $upstream",
			takes: []string{"messages/events", "messages/modules/m", "messages/modules/m/outputs/o"}, leaves: []string{"twinChangeNotifications"},
		},
		{text: "FROM /* INTO $UPSTREAM", takes: []string{"messages/events", "twinChangeNotifications"}},
		{
			text: `FROM /messages/modules/sensor/outputs/temperature INTO BrokeredEndpoint("/modules/filter/inputs/in")`, module: "filter", input: "in",
			takes: []string{"messages/modules/sensor/outputs/temperature"}, leaves: []string{"messages/modules/sensor", "messages/modules/sensor/outputs/other"},
		},
		{
			text: `from  /messages/modules/sensor/*  into brokeredEndpoint( '/modules/filter/inputs/in/' ) `, module: "filter", input: "in",
			takes: []string{"messages/modules/sensor", "messages/modules/sensor/outputs/o"}, leaves: []string{"messages/modules/other", "messages/events"},
		},
		{
			text:  "SELECT * FROM /messages/modules/sensor/outputs/* WHERE 'a INTO b' = 'a INTO b' INTO $upstream",
			takes: []string{"messages/modules/sensor/outputs/o"}, leaves: []string{"messages/modules/sensor"},
		},
	}
	for _, c := range cases {
		r, err := parser.EdgeRoute(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if r.Module != c.module || r.Input != c.input || r.Upstream() != (c.module == "") {
			t.Errorf("%s goes to module %q, input %q", c.text, r.Module, r.Input)
		}
		for _, source := range c.takes {
			if !r.From(strings.Split(source, "/")...) {
				t.Errorf("%s does not take %s", c.text, source)
			}
		}
		for _, source := range c.leaves {
			if r.From(strings.Split(source, "/")...) {
				t.Errorf("%s takes %s", c.text, source)
			}
		}
	}
}

func TestEdgeRouteConditions(t *testing.T) {
	parser := query.NewParser()
	leaf := &iothub.Telemetry{ID: iothub.ID{DeviceID: "leaf"}}
	module := &iothub.Telemetry{
		ID: iothub.ID{DeviceID: "edge", ModuleID: "m"}, Properties: iothub.Properties{{Name: "kind", Value: "{$x}"}},
		System: iothub.SystemProperties{ContentType: "application/json", ContentEncoding: "utf-8"}, Body: []byte(`{"machine":{"temperature":21}}`),
	}
	for text, want := range map[string][2]bool{
		"NOT IS_DEFINED($connectionModuleId)":   {true, false},
		"{$connectionModuleId} = 'm'":           {false, true},
		"kind = '{$x}'":                         {false, true},
		"$body.machine.temperature >= 21":       {false, true},
		`$connectionDeviceId = "leaf" OR 1 = 2`: {true, false},
	} {
		r, err := parser.EdgeRoute("FROM /messages/* WHERE " + text + " INTO $upstream")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := [2]bool{r.Condition.Matches(&query.Message{Telemetry: leaf}), r.Condition.Matches(&query.Message{Telemetry: module})}
		if got != want {
			t.Errorf("%s: leaf and module match %v, want %v", text, got, want)
		}
	}
}

func TestEdgeRouteErrors(t *testing.T) {
	parser := query.NewParser()
	for text, says := range map[string]string{
		"":                                                       "FROM",
		"INTO $upstream":                                         "FROM",
		"FROM /messages/*":                                       "INTO",
		"FROM INTO $upstream":                                    "INTO",
		"FROM messages INTO $upstream":                           "source",
		"FROM /a/*/b INTO $upstream":                             "source",
		"FROM /* WHERE INTO $upstream":                           "condition",
		"FROM /* IF 1 = 1 INTO $upstream":                        "WHERE",
		"FROM /* WHERE 1 = = 1 INTO $down":                       "condition",
		"FROM /* INTO $downstream":                               "sink",
		"FROM /* INTO Endpoint('/modules/m')":                    "sink",
		"FROM /* INTO BrokeredEndpoint('/modules/m/inputs')":     "sink",
		"FROM /* INTO BrokeredEndpoint('/modules/m/outputs/in')": "sink",
		"FROM /* INTO BrokeredEndpoint(\"/modules/m/inputs/in')": "sink",
		"FROM /* INTO BrokeredEndpoint('":                        "sink",
	} {
		if _, err := parser.EdgeRoute(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want something about %s", text, err, says)
		}
	}
}

func FuzzEdgeRoute(f *testing.F) {
	f.Add("FROM /messages/* WHERE {$connectionModuleId} = 'm' INTO BrokeredEndpoint(\"/modules/m/inputs/in\")")
	f.Add("SELECT * FROM /* INTO $upstream")
	parser := query.NewParser()
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parser.EdgeRoute(text)
		if err == nil && (r.Condition == nil || (r.Module == "") != (r.Input == "")) {
			t.Errorf("%q became %+v", text, r)
		}
	})
}
