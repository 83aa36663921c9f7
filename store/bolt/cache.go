package bolt

import (
	"hash/maphash"
	"sync"

	"github.com/hubnerite/hubnerite/store"
)

const cacheShards = 16

// cached is a decoded record and the size of its encoding.
type cached struct {
	record store.Record
	size   int64
}

// cache holds decoded records by key, up to a size. When full it drops any.
type cache struct {
	seed   maphash.Seed
	limit  int64 // of a shard
	shards [cacheShards]shard
}

type shard struct {
	mu sync.RWMutex
	// generation counts commits that touched the shard: a reader may only add
	// what it read when no commit came between.
	generation uint64
	records    map[string]*cached
	size       int64
}

func newCache(limit int64) *cache {
	c := &cache{seed: maphash.MakeSeed(), limit: limit / cacheShards}
	for i := range c.shards {
		c.shards[i].records = map[string]*cached{}
	}
	return c
}

func (c *cache) shard(key []byte) *shard {
	return &c.shards[maphash.Bytes(c.seed, key)%cacheShards]
}

// get returns the cached record, or the generation for a later add.
func (c *cache) get(key []byte) (*cached, uint64) {
	s := c.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.records[string(key)], s.generation
}

// add keeps what a reader found, unless it may be out of date.
func (c *cache) add(key []byte, r *cached, generation uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.set(string(key), r, c.limit)
	}
}

// update takes over what a commit wrote.
func (c *cache) update(written map[string]*cached) {
	for key, r := range written {
		s := c.shard([]byte(key))
		s.mu.Lock()
		s.generation++
		s.set(key, r, c.limit)
		s.mu.Unlock()
	}
}

func (s *shard) set(key string, r *cached, limit int64) {
	if old := s.records[key]; old != nil {
		s.size -= old.size
		delete(s.records, key)
	}
	if r == nil || r.size > limit {
		return
	}
	for other, old := range s.records {
		if s.size+r.size <= limit {
			break
		}
		s.size -= old.size
		delete(s.records, other)
	}
	s.records[key] = r
	s.size += r.size
}
