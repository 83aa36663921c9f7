package seed

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
)

// validator checks what the types do not say.
type validator struct {
	*decoder
	o      Options
	parser func() *query.Parser
	// namesFiles says that a file was read.
	namesFiles bool
}

func newValidator(o Options) *validator {
	v := &validator{decoder: newDecoder(), o: o}
	var made *query.Parser
	v.parser = func() *query.Parser {
		if made == nil {
			made = query.NewParser()
		}
		return made
	}
	return v
}

// at returns the place of a member, or that of the object when the member is not there.
func at(n *node, name string) Position {
	if m := n.member(name); m != nil {
		return m.at
	}
	return n.at
}

// list returns the items of a member that is a list.
func list(n *node, name string) []*node {
	if m := n.member(name); m != nil {
		return m.items
	}
	return nil
}

// refuse complains in the words of the hub when err is not nil.
func (v *validator) refuse(where Position, err error) bool {
	if err == nil {
		return false
	}
	var known *iothub.Error
	if errors.As(err, &known) {
		v.complain(where, "%s", known.Message)
	} else {
		v.complain(where, "%v", err)
	}
	return true
}

// names notices what is there twice; fold says that case does not count.
func (v *validator) names(kind string, fold bool) func(name string, at Position) {
	seen := map[string]Position{}
	return func(name string, at Position) {
		key := name
		if fold {
			key = strings.ToLower(name)
		}
		if first, twice := seen[key]; twice {
			where := fmt.Sprintf("in line %d", first.Line)
			if first.file != at.file {
				where = "at " + first.inFile()
			}
			v.complain(at, "the %s %q is there already, %s", kind, name, where)
			return
		}
		seen[key] = at
	}
}

func (v *validator) document(d *Document, n *node) {
	v.hub(&d.Hub, n)
	once := v.names("hub", true)
	hosts := v.names("host name", true)
	for i := range d.Hubs {
		h, at := &d.Hubs[i], list(n, "hubs")[i]
		once(h.Name, at.at)
		for j, name := range h.HostNames {
			place := list(at, "hostNames")[j].at
			hosts(name, place)
			if net.ParseIP(name) != nil || !validHostName(name) {
				v.complain(place, "%.80q is not a host name; write it without scheme and port", name)
			}
		}
		v.hub(&h.Hub, at)
	}
}

// validHostName reports whether a name has labels of letters, digits, hyphens and underscores.
func validHostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		bad := strings.IndexFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		if label == "" || len(label) > 63 || bad >= 0 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

func (v *validator) hub(h *Hub, n *node) {
	v.policies(h, n)
	group := v.names("consumer group", true)
	for i, name := range h.ConsumerGroups {
		place := list(n, "consumerGroups")[i].at
		group(name, place)
		v.refuse(place, validateConsumerGroup(name))
	}
	v.certificates(h, n)
	v.routing(h, n)
	v.configurations(h, n)
	v.devices(h, n)
	v.simulations(h, n)
}

func (v *validator) policies(h *Hub, n *node) {
	once := v.names("policy", false)
	for i, p := range h.Policies {
		at := list(n, "policies")[i]
		once(p.Name, at.at)
		v.keys(at, p.PrimaryKey, p.SecondaryKey)
	}
	if len(h.Policies) > iothub.MaxAccessPolicies {
		v.complain(n.member("policies").at, "a hub has at most %d policies", iothub.MaxAccessPolicies)
	}
}

// keys checks a pair of keys; the keys themselves stay out of the messages.
func (v *validator) keys(n *node, primary, secondary string) {
	for _, key := range []struct{ name, text string }{{"primaryKey", primary}, {"secondaryKey", secondary}} {
		if key.text == "" {
			continue
		}
		if raw, err := base64.StdEncoding.DecodeString(key.text); err != nil || len(raw) < 16 || len(raw) > 64 {
			v.complain(at(n, key.name), "%s is not base64 of 16 to 64 bytes", key.name)
		}
	}
}

const maxConsumerGroup = 50

// validateConsumerGroup has the rule of the hub.
func validateConsumerGroup(name string) error {
	letter := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }
	good := name != "" && len(name) <= maxConsumerGroup && letter(name[0]) && letter(name[len(name)-1])
	for i := range len(name) {
		good = good && (letter(name[i]) || strings.IndexByte(".-_", name[i]) >= 0)
	}
	if !good && !strings.EqualFold(name, "$Default") {
		return fmt.Errorf("a consumer group has a name of 1 to %d letters, digits, '.', '-' and '_', not %.64q", maxConsumerGroup, name)
	}
	return nil
}

func (v *validator) certificates(h *Hub, n *node) {
	once := v.names("certificate", true)
	for i := range h.Certificates {
		c, at1 := &h.Certificates[i], list(n, "certificates")[i]
		once(c.Name, at1.at)
		v.refuse(at(at1, "name"), iothub.ValidateCAName(c.Name))
		where := at(at1, "certificate")
		switch {
		case (c.File == "") == (c.Certificate == ""):
			v.complain(at1.at, "a certificate needs either file or certificate")
			continue
		case c.File != "" && v.o.ReadFile == nil:
			v.complain(at(at1, "file"), "files can be named only in a seed file of this machine: give the certificate itself")
			continue
		case c.File != "":
			where, v.namesFiles = at(at1, "file"), true
			text, err := v.o.ReadFile(c.File)
			if err != nil {
				v.complain(where, "%v", err)
				continue
			}
			c.Certificate, c.File = string(text), ""
		}
		if err := checkAuthority(c.Certificate); err != nil {
			v.complain(where, "%v", err)
		}
	}
}

// checkAuthority reads one certificate, PEM or base64, that may sign others.
func checkAuthority(text string) error {
	block, rest := pem.Decode([]byte(text))
	var der []byte
	if block != nil {
		der = block.Bytes
		if another, _ := pem.Decode(rest); another != nil {
			return errors.New("there is more than one certificate; give one")
		}
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err != nil {
			return errors.New("this is no certificate, neither PEM nor base64")
		}
	}
	c, err := x509.ParseCertificate(der)
	switch {
	case err != nil:
		return fmt.Errorf("this is no certificate: %w", err)
	case !c.BasicConstraintsValid || !c.IsCA:
		return errors.New("this is not the certificate of an authority (basic constraints: CA)")
	}
	return nil
}

func (v *validator) routing(h *Hub, n *node) {
	once := v.names("endpoint", true)
	for i, e := range h.Endpoints {
		at := list(n, "endpoints")[i]
		once(e.Name, at.at)
		v.refuse(at.at, iothub.Endpoint(e).Validate())
	}
	once = v.names("route", true)
	for i, r := range h.Routes {
		place := list(n, "routes")[i]
		once(r.Name, place.at)
		if v.refuse(place.at, r.Route().Validate()) {
			continue
		}
		if _, err := v.parser().Condition(r.Condition, query.RoutingFunctions()); err != nil {
			v.complain(at(place, "condition"), "the condition is not valid: %v", err)
		}
	}
	once = v.names("enrichment", true)
	for i, e := range h.Enrichments {
		at := list(n, "enrichments")[i]
		once(e.Key, at.at)
		v.refuse(at.at, e.Enrichment().Validate())
	}
}

// Route returns the route with what is left out filled in.
func (r Route) Route() iothub.Route {
	out := iothub.Route{
		Name: r.Name, Source: iothub.RouteSource(r.Source), Condition: r.Condition, EndpointNames: []string{r.Endpoint},
		IsEnabled: r.Enabled == nil || *r.Enabled,
	}
	if r.Source == "" {
		out.Source = iothub.SourceDeviceMessages
	}
	if r.Condition == "" {
		out.Condition = "true"
	}
	if r.Endpoint == "" {
		out.EndpointNames = []string{iothub.BuiltInEndpoint}
	}
	return out
}

// Enrichment returns the enrichment with what is left out filled in.
func (e Enrichment) Enrichment() iothub.Enrichment {
	out := iothub.Enrichment{Key: e.Key, Value: e.Value, EndpointNames: slices.Clone(e.Endpoints)}
	if len(out.EndpointNames) == 0 {
		out.EndpointNames = []string{iothub.BuiltInEndpoint}
	}
	return out
}

func (v *validator) configurations(h *Hub, n *node) {
	once := v.names("configuration", false)
	for i, c := range h.Configurations {
		place := list(n, "configurations")[i]
		once(c.ID, place.at)
		body, err := c.Body()
		if v.refuse(place.at, err) {
			continue
		}
		read, err := iothub.DecodeConfiguration(c.ID, body)
		if v.refuse(place.at, err) {
			continue
		}
		condition, err := v.parser().TwinCondition(c.TargetCondition)
		switch {
		case err != nil:
			v.complain(at(place, "targetCondition"), "the target condition is none: %v", err)
		case c.TargetCondition != "" && (condition.Collection == query.Modules) != (read.Content.Kind == iothub.ModuleContent):
			v.complain(at(place, "targetCondition"), "moduleContent needs a target condition that begins with FROM devices.modules, and no other content has one")
		}
		for name, text := range c.Metrics {
			metric, err := v.parser().Query(text)
			where := at(place, "metrics")
			if m := place.member("metrics").member(name); m != nil {
				where = m.at
			}
			switch {
			case err != nil:
				v.complain(where, "the metric %q: %v", name, err)
			case metric.Collection == query.DeviceJobs:
				v.complain(where, "the metric %q must be a query over devices or devices.modules", name)
			}
		}
	}
}

// Body returns the configuration as the service API takes it.
func (c Configuration) Body() ([]byte, error) {
	return json.Marshal(map[string]any{
		"id": c.ID, "schemaVersion": c.SchemaVersion, "labels": c.Labels, "content": c.Content, "targetCondition": c.TargetCondition,
		"priority": c.Priority, "metrics": map[string]any{"queries": c.Metrics},
	})
}

// anyTime is for checks that make twins which nobody keeps.
func anyTime() time.Time { return time.Unix(0, 0) }
