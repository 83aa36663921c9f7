//go:build conformance

package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostileREST sends requests written by hand to port 443 and to the admin port.
func hostileREST(t *testing.T, s *site) {
	a := newSiege(t, s, "d1")
	a.badRequests()
	a.badAdminRequests()
	a.finish()
}

// request is one HTTP request, byte by byte.
func (a *siege) request(line, body string, headers ...string) string {
	all := append([]string{line, "Host: localhost"}, headers...)
	if body != "" && !slices.ContainsFunc(headers, func(h string) bool { return strings.Contains(h, "-Length") || strings.Contains(h, "Transfer") }) {
		all = append(all, fmt.Sprintf("Content-Length: %d", len(body)), "Content-Type: application/json; charset=utf-8")
	}
	return strings.Join(all, "\r\n") + "\r\n\r\n" + body
}

func (a *siege) badRequests() {
	owner := connectionFields(a.ready.ConnectionStrings["iothubowner"])
	token := "Authorization: " + sign(a.host, owner["SharedAccessKey"], "iothubowner", time.Hour)
	reader := connectionFields(a.ready.ConnectionStrings["registryRead"])
	readOnly := "Authorization: " + sign(a.host, reader["SharedAccessKey"], "registryRead", time.Hour)
	const v = "?api-version=2021-04-12 HTTP/1.1"
	const any, named = "If-Match: *", "\"deviceId\":\"d1\""
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	long := strings.Repeat("x", 20000)
	get := func(path string, headers ...string) string { return a.request("GET "+path, "", headers...) }
	patch := func(body string) string { return a.request("PATCH /twins/d1"+v, body, token) }
	put := func(body string) string { return a.request("PUT /devices/d1"+v, body, token, any) }
	method := func(body string) string { return a.request("POST /twins/d1/methods"+v, body, token) }
	for _, x := range []struct {
		name, bytes string
		status      int  // the answer's
		early       bool // net/http refuses it before there is a request, without an error code
	}{
		{"no api-version", get("/devices/d1 HTTP/1.1", token), 400, false},
		{"empty api-version", get("/devices/d1?api-version= HTTP/1.1", token), 400, false},
		{"api-version of nonsense", get("/devices/d1?api-version=latest HTTP/1.1", token), 400, false},
		{"api-version of 20 KB", get("/devices/d1?api-version="+long+" HTTP/1.1", token), 400, false},
		{"no token", get("/devices/d1" + v), 401, false},
		{"a right too few", a.request("DELETE /devices/d1"+v, "", readOnly, any), 401, false},
		{"twin with a registry right", get("/twins/d1"+v, readOnly), 401, false},
		{"bearer token", get("/devices/d1"+v, "Authorization: Bearer eyJhbGciOiJub25lIn0.e30."), 401, false},
		{"unknown device", get("/devices/nobody"+v, token), 404, false},
		{"unknown path", get("/no/such/path"+v, token), 404, false},
		{"path of 20 KB", get("/"+long+v, token), 404, false},
		{"two slashes", get("//devices//d1"+v, token), 404, false},
		{"dots", get("/devices/../../etc/passwd"+v, token), 404, false},
		{"dots, escaped", get("/devices/%2e%2e%2f%2e%2e%2fetc%2fpasswd"+v, token), 400, false},
		{"device id with a slash", get("/devices/a%2Fb"+v, token), 400, false},
		{"device id with NUL", get("/devices/a%00b"+v, token), 400, false},
		{"device id of invalid UTF-8", get("/devices/a%ff"+v, token), 400, false},
		{"device id of 129 characters", get("/devices/"+strings.Repeat("x", 129)+v, token), 400, false},
		{"half an escape", get("/devices/a%2"+v, token), 400, true},
		{"bad escape", get("/devices/a%zz"+v, token), 400, true},
		{"bad escape in the query", get("/devices/d1?api-version=2021-04-12&x=%zz HTTP/1.1", token), 200, true},
		{"TRACE", a.request("TRACE /devices/d1"+v, "", token), 405, false},
		{"CONNECT", a.request("CONNECT localhost:443 HTTP/1.1", "", token), 404, false},
		{"OPTIONS", a.request("OPTIONS /devices/d1"+v, "", token), 405, false},
		{"a method of one's own", a.request("BREW /devices/d1"+v, "", token), 405, false},
		{"a method that is no token", a.request("G(T /devices/d1"+v, "", token), 400, true},
		{"HTTP/3.7", a.request("GET /devices/d1?api-version=2021-04-12 HTTP/3.7", "", token), 505, true},
		{"no HTTP", "hello\r\n\r\n", 400, true},
		{"no Host", "GET /devices/d1" + v + "\r\n" + token + "\r\n\r\n", 400, true},
		{"two Hosts", get("/devices/d1"+v, token, "Host: other"), 400, true},
		{"NUL in a header", get("/devices/d1"+v, token, "X-A: a\x00b"), 400, true},
		{"space before the colon", get("/devices/d1"+v, token, "X-A : b"), 400, true},
		{"folded header", get("/devices/d1"+v, "X-A: a\r\n b", "Transfer-Encoding : chunked"), 400, true},
		{"headers of 100 KB", get("/devices/d1"+v, strings.Repeat("X-A: "+long+"\r\n", 5)+token), 431, true},
		{"two lengths", a.request("PUT /devices/d1"+v, "{}", token, "Content-Length: 2", "Content-Length: 3"), 400, true},
		{"negative length", a.request("PUT /devices/d1"+v, "{}", token, "Content-Length: -2"), 400, true},
		{"length with a sign", a.request("PUT /devices/d1"+v, "{}", token, "Content-Length: +2"), 400, true},
		{"chunks by another name", a.request("PUT /devices/d1"+v, "0\r\n\r\n", token, "Transfer-Encoding: xchunked"), 501, true},
		{"chunks of nonsense", a.request("PUT /devices/d1"+v, "zz\r\n{}\r\n0\r\n\r\n", token, any, "Transfer-Encoding: chunked"), 400, false},
		{"chunk of 16 EB", a.request("PUT /devices/d1"+v, "ffffffffffffffff1\r\n{}", token, any, "Transfer-Encoding: chunked"), 400, false},
		{"no body", put(""), 400, false},
		{"half JSON", put(`{"deviceId":`), 400, false},
		{"another device", put(`{"deviceId":"d2"}`), 400, false},
		{"an array", put(`[]`), 400, false},
		{"null", put(`null`), 400, false},
		{"two objects", put(`{` + named + `}{}`), 400, false},
		{"wrong types", put(`{"deviceId":{"a":1}}`), 400, false},
		{"status unknown", put(`{` + named + `,"status":"perhaps"}`), 400, false},
		{"a bad key", put(`{` + named + `,"authentication":{"type":"sas","symmetricKey":{"primaryKey":"not base64!","secondaryKey":"x"}}}`), 400, false},
		{"invalid UTF-8", put("{" + named + ",\"statusReason\":\"\xff\"}"), 400, false},
		{"deep JSON", put(deep), 400, false},
		{"brackets without end", put(strings.Repeat("[", 100000)), 400, false},
		{"body of 10 MB", put(`{` + named + `,"statusReason":"` + strings.Repeat("x", 10<<20) + `"}`), 413, false},
		{"body that claims 1 TB", a.request("PUT /devices/d1"+v, "{}"+strings.Repeat("x", 600<<10), token, any, "Content-Length: 1099511627776"), 413, false},
		{"etag of nonsense", a.request("PUT /devices/d1"+v, `{`+named+`}`, token, `If-Match: "nonsense"`), 412, false},
		{"no If-Match", a.request("PUT /devices/d1"+v, `{`+named+`}`, token), 409, false},
		{"twin: half JSON", patch(`{"properties":`), 400, false},
		{"twin: a number for desired", patch(`{"properties":{"desired":7}}`), 400, false},
		{"twin: a bad name", patch(`{"properties":{"desired":{"a.b":1}}}`), 400, false},
		{"twin: null in an array", patch(`{"tags":{"a":[null]}}`), 400, false},
		{"twin: too deep", patch(`{"tags":` + strings.Repeat(`{"a":`, 12) + "1" + strings.Repeat("}", 13)), 400, false},
		{"twin: too large", patch(`{"properties":{"desired":{"a":1` + manyProperties(9) + `}}}`), 400, false},
		{"method: no name", method(`{"payload":1}`), 400, false},
		{"method: bad time-out", method(`{"methodName":"m","responseTimeoutInSeconds":-1}`), 400, false},
		{"method: monstrous time-out", method(`{"methodName":"m","responseTimeoutInSeconds":1e300}`), 400, false},
		{"method: name of 20 KB", method(`{"methodName":"` + long + `"}`), 400, false},
		{"method: nobody there", method(`{"methodName":"m","responseTimeoutInSeconds":5}`), 404, false},
		{"not implemented", a.request("POST /twins/d/streams/s"+v, `{}`, token), 501, false},
	} {
		conn := a.dialTLS(443)
		mark := a.mark()
		status, header, body := a.roundTrip(x.name, conn, x.bytes)
		_ = conn.Close()
		if status != x.status {
			a.t.Errorf("%s: status %d, want %d: %.300s", x.name, status, x.status, body)
		}
		if x.early {
			if x.status != 200 {
				a.wantOneLine(x.name, mark, "HTTP request refused")
			}
			continue
		}
		if header.Get("iothub-errorcode") == "" || !strings.Contains(body, "ErrorCode:"+header.Get("iothub-errorcode")) && !strings.Contains(body, "errorCode") {
			a.t.Errorf("%s: no error code: %v %.300s", x.name, header, body)
		}
		a.wantOneLine(x.name, mark, "request refused")
	}
	// Of a length and chunks at once the chunks count (RFC 9112 6.3): no byte belongs to two requests.
	conn := a.dialTLS(443)
	defer func() { _ = conn.Close() }()
	next := get("/devices/d1"+v, token, "Connection: close")
	both := a.request("POST /twins/d1/methods"+v, "0\r\n\r\n"+next, token, "Content-Length: 3", "Transfer-Encoding: chunked")
	answer := string(a.exchangeOn("length and chunks at once", conn, []byte(both)))
	if strings.Count(answer, "HTTP/1.1 ") > 2 || !strings.HasPrefix(answer, "HTTP/1.1 400 ") || strings.Contains(answer[12:], "HTTP/1.1 4") {
		a.t.Errorf("length and chunks at once: %.600s", answer)
	}
}

// roundTrip writes a request and reads one answer.
func (a *siege) roundTrip(name string, conn net.Conn, request string) (int, http.Header, string) {
	a.t.Helper()
	go func() { _, _ = conn.Write([]byte(request)) }() // the emulator may stop reading
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		a.t.Errorf("%s: %v", name, err)
		return 0, nil, ""
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(body)
}

// badAdminRequests ask the admin port for too much, or as a page of another origin would.
func (a *siege) badAdminRequests() {
	long := strings.Repeat("x", 20000)
	for _, x := range []struct {
		name, bytes string
		status      int
		logged      bool
	}{
		{"another host", "GET /info HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 403, true},
		{"a long host", "GET /info HTTP/1.1\r\nHost: " + long + "\r\n\r\n", 403, true},
		{"another origin", a.request("GET /info HTTP/1.1", "", "Origin: https://evil.example.com"), 403, true},
		{"another site", a.request("GET /info HTTP/1.1", "", "Sec-Fetch-Site: cross-site"), 403, true},
		{"unknown path", a.request("GET /../../etc/passwd HTTP/1.1", ""), 404, false},
		{"escaped dots", a.request("GET /%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1", ""), 404, false},
		{"bad limit", a.request("GET /messages?limit=-1 HTTP/1.1", ""), 422, false},
		{"huge limit", a.request("GET /messages?limit=99999999999999999999 HTTP/1.1", ""), 422, false},
		{"bad since", a.request("GET /messages?device=good&since=x HTTP/1.1", ""), 422, false},
		{"bad time-out", a.request("GET /messages/wait?device=good&count=1&timeout=forever HTTP/1.1", ""), 422, false},
		{"long device", a.request("GET /messages?device="+long+" HTTP/1.1", ""), 200, false},
		{"DELETE", a.request("DELETE /info HTTP/1.1", ""), 405, false},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, false},
	} {
		conn, err := net.DialTimeout("tcp", a.address(8484), time.Minute)
		if err != nil {
			a.t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		mark := a.mark()
		status, _, body := a.roundTrip("admin, "+x.name, conn, x.bytes)
		_ = conn.Close()
		if status != x.status {
			a.t.Errorf("admin, %s: status %d, want %d: %.300s", x.name, status, x.status, body)
		}
		if x.logged {
			a.wantOneLine("admin, "+x.name, mark, "refused")
		}
	}
}
