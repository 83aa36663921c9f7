package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
)

// askTimeout bounds a question to the running emulator.
const askTimeout = 15 * time.Second

// apiVersion is the service API that the device commands speak.
const apiVersion = "2021-04-12"

// errNotFound is a 404 of the management API.
var errNotFound = errors.New("not found")

// ask gets a path of the management API.
func (a *app) ask(path string) ([]byte, error) {
	return a.request(http.MethodGet, path, nil, askTimeout)
}

// request calls the management API; a body is JSON. It never goes through a proxy.
func (a *app) request(method, path string, body io.Reader, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, a.adminURL+a.ofHub(method, path), body)
	if err != nil {
		return nil, usagef("the management address %q is not a URL", a.adminURL)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	a.authorize(request)
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no emulator answers at %s: %w\nStart one with \"%s\", or name it with --admin-url", a.adminURL, err, programName())
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s%s: %w", a.adminURL, path, err)
	case response.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s", errNotFound, problemText(text))
	case response.StatusCode >= http.StatusMultipleChoices:
		return nil, fmt.Errorf("%s%s answers %s: %s", a.adminURL, path, response.Status, problemText(text))
	}
	return text, nil
}

// problemText returns what an answer of the management API says that is no success.
func problemText(body []byte) []byte {
	var problem struct {
		Detail string
		Errors []struct{ Message, Location string }
	}
	if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
		body = []byte(problem.Detail)
		for _, e := range problem.Errors {
			body = fmt.Appendf(body, "; %s: %s", e.Location, e.Message)
		}
	}
	return bytes.TrimSpace(body)
}

// ofHub adds the hub of --hub to a path of the management API that is about one.
func (a *app) ofHub(method, path string) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	first, _, _ = strings.Cut(first, "?")
	switch first {
	case "ca.pem", "clock", "health", "hubs", "inspector", "metrics", "seed", "seed.schema.json":
		return path
	case "snapshots":
		if method != http.MethodPut && !strings.HasSuffix(rest, "/restore") {
			return path
		}
	}
	if a.hub == "" {
		return path
	}
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + "hub=" + url.QueryEscape(a.hub)
}

// authorize adds the token of --admin-token to a request of the management API.
func (a *app) authorize(r *http.Request) {
	if a.adminToken != "" {
		r.Header.Set("Authorization", "Bearer "+a.adminToken)
	}
}

// info asks the running emulator to describe itself.
func (a *app) info() (emulator.Info, error) {
	var info emulator.Info
	body, err := a.ask("/info")
	if err == nil {
		err = json.Unmarshal(body, &info)
	}
	if err == nil && (info.HostName == "" || info.ConnectionStrings["iothubowner"] == "") {
		err = errors.New("the answer describes no emulator")
	}
	if a.hub != "" && errors.Is(err, errNotFound) {
		return info, a.noHub(err)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "no emulator") {
		err = fmt.Errorf("%s is not an emulator's management address: %w", a.adminURL, err)
	}
	return info, err
}

// noHub says in the place of an error that --hub names no hub, when it is that.
func (a *app) noHub(err error) error {
	if a.hub != "" && errors.Is(err, errNotFound) {
		return fmt.Errorf("the emulator at %s has no hub %q; \"%s hub list\" tells which it has", a.adminURL, a.hub, programName())
	}
	return err
}

// service is a client of the hub's service API with the rights of iothubowner.
type service struct {
	info    emulator.Info
	address string // where it is dialed
	token   string
	now     time.Time // by the hub's clock
	client  http.Client
}

// service connects to the hub of the running emulator. It dials the machine of
// the management address under the hub's name, which need not resolve here.
func (a *app) service() (*service, error) {
	info, err := a.info()
	if err != nil {
		return nil, err
	}
	admin, err := url.Parse(a.adminURL)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	ca, err := a.ask("/ca.pem")
	if errors.Is(err, errNotFound) {
		// The operator brought a certificate: its file, or the system's roots.
		pool, err = x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		ca, err = os.ReadFile(info.CAFile)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	pool.AppendCertsFromPEM(ca)
	now, err := a.now()
	if err != nil {
		return nil, err
	}
	token, err := emulator.ServiceToken(info.ConnectionStrings["iothubowner"], now.Add(5*time.Minute))
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(admin.Hostname(), strconv.Itoa(info.Ports.HTTPS))
	return &service{info: info, address: address, token: token, now: now, client: http.Client{
		Timeout: askTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: info.HostName, MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		},
	}}, nil
}

// call makes a request of the service API. A body and an answer may be nil.
func (s *service) call(method, path string, query url.Values, header http.Header, body, answer any) error {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(text)
	}
	if query == nil {
		query = url.Values{}
	}
	query.Set("api-version", apiVersion)
	request, err := http.NewRequestWithContext(context.Background(), method, "https://"+s.info.HostName+path+"?"+query.Encode(), reader)
	if err != nil {
		return err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", s.token)
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return refusal(response, text)
	}
	if raw, ok := answer.(*json.RawMessage); ok {
		*raw = text
		return nil
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// refusal turns an error answer of the hub into one line.
func refusal(response *http.Response, body []byte) error {
	// Errors of methods are JSON of their own: the answer itself, or inside the text of the ordinary one.
	var answer struct {
		ErrorCode int
		Message   string
	}
	for range 2 {
		if json.Unmarshal(body, &answer) != nil || answer.Message == "" {
			break
		}
		body = []byte(answer.Message)
		if answer.ErrorCode != 0 {
			body = fmt.Appendf(body, " (%d)", answer.ErrorCode)
			break
		}
	}
	return fmt.Errorf("the hub answers %s: %s", response.Status, bytes.TrimSpace(body))
}
