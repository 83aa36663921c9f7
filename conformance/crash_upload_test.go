//go:build conformance

package conformance

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crashUpload is a file on its way and what was acknowledged of it.
type crashUpload struct {
	device *uploader
	place  place
	// blocks are the contents; staged counts those with an answer 201, one after the other.
	blocks []string
	staged int
	// asked and committed are about the block list, told about the notification.
	asked, committed, told bool
}

const (
	crashFiles  = 4
	crashBlocks = 12
	crashBlock  = 64 << 10
)

// kill9Uploads kills the emulator again and again in the middle of uploads. Afterwards blocks that were acknowledged can be
// committed without being sent again, blobs that were are there whole, uploads go on under their correlation IDs, and of what
// was not committed nothing can be seen.
func kill9Uploads(t *testing.T, s *site) {
	var flags []string
	for i := range crashFiles {
		flags = append(flags, "--device", fmt.Sprint("u", i))
	}
	h := s.startHub(t, append(flags, "--log-level", "warn")...)
	a := newGate(t, s, h)
	files, done, blocks, told := make([]*crashUpload, crashFiles), 0, 0, map[string]int{}
	for round := range crashRounds(t, 15) {
		var (
			killed  atomic.Bool
			writers sync.WaitGroup
		)
		for i := range files {
			if files[i] == nil {
				files[i] = newCrashUpload(a, i, round)
			}
			writers.Go(func() {
				if err := files[i].goOn(a); err != nil && !killed.Load() {
					t.Errorf("%s before the kill: %v", files[i].place.BlobName, err)
				}
			})
		}
		time.Sleep(time.Duration(5+rand.IntN(60)) * time.Millisecond)
		killed.Store(true)
		h.kill()
		writers.Wait()
		h.start()
		a.caller = newCaller(t, h)
		for _, name := range a.fileNotifications() {
			told[name]++
		}
		for i, f := range files {
			blocks += f.staged
			f.check(a)
			if f.told {
				files[i] = nil
				done++
			}
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		if err := f.goOn(a); err != nil {
			t.Errorf("%s at the end: %v", f.place.BlobName, err)
		}
		f.check(a)
		done++
	}
	for _, name := range a.fileNotifications() {
		told[name]++
	}
	for name, n := range told {
		if n != 1 {
			t.Errorf("back ends were told of %s %d times", name, n)
		}
	}
	if len(told) != done || blocks == 0 {
		t.Errorf("back ends were told of %d files, %d were uploaded; %d blocks", len(told), done, blocks)
	}
	t.Logf("%d files uploaded; %d times a block was there after a kill", done, blocks)
}

func newCrashUpload(a *siege, device, round int) *crashUpload {
	f := &crashUpload{device: newUploader(a, fmt.Sprint("u", device))}
	f.place = f.device.mustStart(fmt.Sprint("file ", round))
	for range crashBlocks {
		f.blocks = append(f.blocks, strings.Repeat(fmt.Sprintf("%016x", rand.Uint64()), crashBlock/16))
	}
	return f
}

// goOn sends what was not acknowledged yet: blocks, the list, the word of success.
func (f *crashUpload) goOn(a *siege) error {
	for f.staged < len(f.blocks) && !f.asked {
		if got := f.place.put(a, blockID(f.staged), f.blocks[f.staged]); got != "201" {
			return fmt.Errorf("block %d: %s", f.staged, got)
		}
		f.staged++
	}
	for !f.committed {
		f.asked = true
		if got := f.place.put(a, "&comp=blocklist", blockList(len(f.blocks))); got != "201" {
			return errors.New("block list: " + got)
		}
		f.committed = true
	}
	got := f.device.notify(ended(f.place.CorrelationID))
	// One that was carried out, but not answered, is not repeated.
	if got != "204" && got != "400 InvalidFileUploadCorrelationId" {
		return errors.New("notification: " + got)
	}
	f.told = true
	return nil
}

// check looks at what is there after a restart.
func (f *crashUpload) check(a *siege) {
	a.t.Helper()
	status, body, err := f.place.get(a)
	whole := strings.Join(f.blocks, "")
	switch {
	case err != nil:
		a.t.Errorf("%s: %v", f.place.BlobName, err)
	case status == http.StatusOK && f.asked:
		// The list may have been carried out and not answered.
		f.committed = true
		if body != whole {
			a.t.Errorf("%s has %d bytes (%x), want %d (%x)", f.place.BlobName, len(body), sha256.Sum256([]byte(body)), len(whole), sha256.Sum256([]byte(whole)))
		}
	case status == http.StatusOK:
		a.t.Errorf("%s can be seen before its block list", f.place.BlobName)
	case f.committed:
		a.t.Errorf("%s was committed, and its status is %d", f.place.BlobName, status)
	case status != http.StatusNotFound:
		a.t.Errorf("%s: status %d", f.place.BlobName, status)
	default:
		f.checkStaged(a)
	}
}

// checkStaged compares the uncommitted blocks with those that were acknowledged. One more may be there.
func (f *crashUpload) checkStaged(a *siege) {
	a.t.Helper()
	request, err := http.NewRequest(http.MethodGet, f.place.address()+"&comp=blocklist&blocklisttype=uncommitted", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := a.client.Do(request)
	if err != nil {
		a.t.Error(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK && (response.StatusCode != http.StatusNotFound || f.staged > 0) {
		a.t.Errorf("blocks of %s: %s %v", f.place.BlobName, response.Status, err)
		return
	}
	if n := strings.Count(string(text), fmt.Sprintf("<Size>%d</Size>", crashBlock)); n < f.staged || n > f.staged+1 {
		a.t.Errorf("%s has %d uncommitted blocks, %d were acknowledged:\n%s", f.place.BlobName, n, f.staged, text)
	}
}

// get reads the blob.
func (p place) get(a *siege) (status int, body string, err error) {
	response, err := a.client.Get(p.address())
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}
