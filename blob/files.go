package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// On the disk a container is a folder. Its name, which has no character that file
// systems mind, names it. In it are
//
//	.container       a JSON entry: what the container has
//	{hash}.json      a JSON entry: what a blob has, and the name of its content
//	{uuid}.data      the content of a blob
//	{uuid}.part      a block, or a content that is being written
//	{uuid}.staged    which block of which blob the part is, if that was acknowledged
//
// An entry is written beside its place and renamed, so it is whole or the old
// one. Contents without an entry and parts that nothing names are removed at the start, and so
// are blocks that were not committed for a week.
const (
	containerFile = ".container"
	entrySuffix   = ".json"
	dataSuffix    = ".data"
	partSuffix    = ".part"
	stagedSuffix  = ".staged"
)

// maxStagedAge is how long blocks wait for being committed.
// Source: Azure Blob storage REST API, Put Block (remarks).
const maxStagedAge = 7 * 24 * time.Hour

// files is what the folder holds; entries are in memory, contents are not.
type files struct {
	dir  string
	sync bool
	now  func() time.Time

	mu         sync.Mutex
	containers map[string]*folder
}

// folder is a container; it is guarded by files.mu.
type folder struct {
	Created  time.Time         `json:"created"`
	ETag     string            `json:"etag"`
	Metadata map[string]string `json:"metadata,omitempty"`

	blobs map[string]*entry
	// blocks are uncommitted, by blob and block ID.
	blocks map[string]map[string]part
}

// entry is a committed blob. It is never changed, only replaced.
type entry struct {
	Name         string            `json:"name"`
	Size         int64             `json:"size"`
	ETag         string            `json:"etag"`
	Created      time.Time         `json:"created"`
	LastModified time.Time         `json:"lastModified"`
	Headers      map[string]string `json:"headers,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	// Data is the file of the content, "" when there is none.
	Data string `json:"data,omitempty"`
	// Blocks are the committed ones in their order.
	Blocks []block `json:"blocks,omitempty"`
	// Written is LastModified to the nanosecond: blocks from before are done with.
	Written time.Time `json:"written"`
}

// block is a committed block.
type block struct {
	ID   string `json:"id"`
	Size int64  `json:"size"`
}

// part is a file with an uncommitted block.
type part struct {
	file   string
	size   int64
	staged time.Time
}

// staged is what is stored of a part beside its content.
type staged struct {
	Blob   string    `json:"blob"`
	ID     string    `json:"id"`
	Size   int64     `json:"size"`
	Staged time.Time `json:"staged"`
}

// stagedFile is the file beside a part.
func stagedFile(partFile string) string {
	return strings.TrimSuffix(partFile, partSuffix) + stagedSuffix
}

func openFiles(dir string, sync bool, now func() time.Time) (*files, error) {
	f := &files{dir: dir, sync: sync, now: now, containers: map[string]*folder{}}
	folders, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, found := range folders {
		if !found.IsDir() || !validContainer(found.Name()) {
			continue
		}
		if err := f.openContainer(found.Name()); err != nil {
			return nil, fmt.Errorf("container %s: %w", found.Name(), err)
		}
	}
	return f, nil
}

func (f *files) openContainer(name string) error {
	c := newContainer()
	text, err := os.ReadFile(f.path(name, containerFile))
	if errors.Is(err, os.ErrNotExist) {
		// Its creation, or its removal, did not come to an end.
		return os.RemoveAll(f.path(name))
	}
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err != nil {
		return err
	}
	found, err := os.ReadDir(f.path(name))
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, file := range found {
		if !strings.HasSuffix(file.Name(), entrySuffix) {
			continue
		}
		e := new(entry)
		text, err := os.ReadFile(f.path(name, file.Name()))
		if err == nil {
			err = json.Unmarshal(text, e)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file.Name(), err)
		}
		c.blobs[e.Name] = e
		used[e.Data] = true
	}
	for _, file := range found {
		if strings.HasSuffix(file.Name(), stagedSuffix) {
			f.openBlock(name, c, file.Name())
		}
	}
	for _, blocks := range c.blocks {
		for _, p := range blocks {
			used[p.file] = true
		}
	}
	for _, file := range found {
		if strings.HasSuffix(file.Name(), partSuffix) && !used[file.Name()] || strings.HasSuffix(file.Name(), dataSuffix) && !used[file.Name()] {
			_ = os.Remove(f.path(name, file.Name()))
		}
	}
	f.containers[name] = c
	return nil
}

// openBlock takes an uncommitted block of a former run in, or removes it.
func (f *files) openBlock(in string, c *folder, name string) {
	file := strings.TrimSuffix(name, stagedSuffix) + partSuffix
	var s staged
	text, err := os.ReadFile(f.path(in, name))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	content, statErr := os.Stat(f.path(in, file))
	p := part{file, s.Size, s.Staged}
	old, twice := c.blocks[s.Blob][s.ID]
	e := c.blobs[s.Blob]
	switch {
	case err != nil, statErr != nil, content.Size() != s.Size, f.now().Sub(s.Staged) > maxStagedAge,
		e != nil && !s.Staged.After(e.Written), // committed, or thrown away, and not removed before the end
		twice && s.Staged.Before(old.staged):   // replaced
		f.removePart(in, p)
	default:
		f.removePart(in, c.stage(s.Blob, s.ID, p))
	}
}

// stage notes an uncommitted block and returns the one that it replaces.
func (c *folder) stage(blob, id string, p part) (old part) {
	if c.blocks[blob] == nil {
		c.blocks[blob] = map[string]part{}
	}
	old = c.blocks[blob][id]
	c.blocks[blob][id] = p
	return old
}

// removePart removes an uncommitted block; the zero part is none.
func (f *files) removePart(in string, p part) {
	if p.file != "" {
		f.remove(in, stagedFile(p.file))
		f.remove(in, p.file)
	}
}

func newContainer() *folder {
	return &folder{blobs: map[string]*entry{}, blocks: map[string]map[string]part{}}
}

func (f *files) path(parts ...string) string {
	return filepath.Join(append([]string{f.dir}, parts...)...)
}

// entryFile is the file of a blob's entry: names have characters and lengths that
// file systems do not take.
func entryFile(blob string) string {
	sum := sha256.Sum256([]byte(blob))
	return hex.EncodeToString(sum[:]) + entrySuffix
}

func newETag() string {
	return `"0x` + strings.ToUpper(hex.EncodeToString([]byte(uuid.NewString()[:8]))) + `"`
}

// stamp returns the time as headers show it, to the second.
func (f *files) stamp() time.Time { return f.now().UTC().Truncate(time.Second) }

// receive writes a content, or a part of one, to a new file. The caller removes
// it when it has no use for it.
func (f *files) receive(in, suffix string, body io.Reader) (name string, size int64, err error) {
	name = uuid.NewString() + suffix
	file, err := os.OpenFile(f.path(in, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return "", 0, errNoContainer()
	} else if err != nil {
		return "", 0, err
	}
	size, err = io.Copy(file, body)
	if err == nil && f.sync {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		f.remove(in, name)
	}
	return name, size, err
}

// remove removes a file of a container that nothing names any more.
func (f *files) remove(in, name string) {
	if name != "" {
		_ = os.Remove(f.path(in, name)) // else the next start does
	}
}

// writeJSON puts a JSON file in the place of another in one step.
func (f *files) writeJSON(v any, in, name string) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temporary, _, err := f.receive(in, partSuffix, strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	if err := os.Rename(f.path(in, temporary), f.path(in, name)); err != nil {
		f.remove(in, temporary)
		return err
	}
	if f.sync {
		return syncDir(f.path(in))
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	// Windows cannot sync a folder, and need not.
	_ = dir.Sync()
	return dir.Close()
}

// create makes a container.
func (f *files) create(name string, metadata map[string]string) (*folder, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.containers[name] != nil {
		return nil, refuse(409, "ContainerAlreadyExists", "The specified container already exists.")
	}
	c := newContainer()
	c.Created, c.ETag, c.Metadata = f.stamp(), newETag(), metadata
	if err := os.MkdirAll(f.path(name), 0o700); err != nil {
		return nil, err
	}
	if err := f.writeJSON(c, name, containerFile); err != nil {
		return nil, err
	}
	f.containers[name] = c
	return c, nil
}

// drop removes a container and all in it.
func (f *files) drop(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.containers[name] == nil {
		return errNoContainer()
	}
	// Without this file the next start takes it for removed.
	if err := os.Remove(f.path(name, containerFile)); err != nil {
		return err
	}
	delete(f.containers, name)
	return os.RemoveAll(f.path(name))
}

// look calls view with a container under the lock.
func (f *files) look(name string, view func(*folder) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[name]
	if c == nil {
		return errNoContainer()
	}
	return view(c)
}

// blob returns a blob.
func (f *files) blob(in, name string) (*entry, error) {
	var e *entry
	err := f.look(in, func(c *folder) error {
		if e = c.blobs[name]; e == nil {
			return errNoBlob()
		}
		return nil
	})
	return e, err
}

// put makes e the blob of its name, if check allows that, and removes what it
// replaces. Without an error the content is the blob's.
func (f *files) put(in string, e *entry, check func(old *entry) error) error {
	return f.look(in, func(c *folder) error {
		old := c.blobs[e.Name]
		if err := check(old); err != nil {
			return err
		}
		now := f.stamp()
		e.Written = f.now().UTC()
		if e.ETag, e.LastModified = newETag(), now; e.Created.IsZero() {
			e.Created = now
		}
		if old != nil {
			e.Created = old.Created
		}
		if err := f.writeJSON(e, in, entryFile(e.Name)); err != nil {
			return err
		}
		c.blobs[e.Name] = e
		if old != nil && old.Data != e.Data {
			f.remove(in, old.Data)
		}
		return nil
	})
}

// forgetBlocks removes the uncommitted blocks of a blob.
func (f *files) forgetBlocks(in, name string) {
	_ = f.look(in, func(c *folder) error {
		for _, p := range c.blocks[name] {
			f.removePart(in, p)
		}
		delete(c.blocks, name)
		return nil
	})
}

// removeBlob removes a blob and its blocks.
func (f *files) removeBlob(in, name string, check func(old *entry) error) error {
	err := f.look(in, func(c *folder) error {
		old := c.blobs[name]
		if old == nil {
			return errNoBlob()
		}
		if err := check(old); err != nil {
			return err
		}
		if err := os.Remove(f.path(in, entryFile(name))); err != nil {
			return err
		}
		delete(c.blobs, name)
		f.remove(in, old.Data)
		return nil
	})
	if err == nil {
		f.forgetBlocks(in, name)
	}
	return err
}
