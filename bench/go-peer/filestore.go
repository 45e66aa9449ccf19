package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// fileStore keeps objects as files: BUCKET/KEY below the directory of the
// configuration, each written aside and then renamed.
type fileStore struct {
	log  logrus.FieldLogger
	root string
}

func (s *fileStore) Init(config map[string]string) error {
	s.root = config["root"]
	if s.root == "" {
		return errors.New("config root is required")
	}
	return nil
}

func (s *fileStore) path(bucket, key string) string {
	return filepath.Join(s.root, bucket, filepath.FromSlash(key))
}

func (s *fileStore) PutObject(bucket, key string, body io.Reader) error {
	target := s.path(bucket, key)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(target), ".upload-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := io.Copy(file, body); err != nil {
		file.Close()
		return err
	}
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), target)
}

func (s *fileStore) ObjectExists(bucket, key string) (bool, error) {
	_, err := os.Stat(s.path(bucket, key))
	if os.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

func (s *fileStore) GetObject(bucket, key string) (io.ReadCloser, error) {
	return os.Open(s.path(bucket, key))
}

func (s *fileStore) ListObjects(bucket, prefix string) ([]string, error) {
	keys := []string{}
	root := filepath.Join(s.root, bucket)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		key, err := filepath.Rel(root, path)
		if err == nil && strings.HasPrefix(filepath.ToSlash(key), prefix) {
			keys = append(keys, filepath.ToSlash(key))
		}
		return err
	})
	return keys, err
}

func (s *fileStore) ListCommonPrefixes(bucket, prefix, delimiter string) ([]string, error) {
	keys, err := s.ListObjects(bucket, prefix)
	if err != nil {
		return nil, err
	}
	prefixes, seen := []string{}, map[string]bool{}
	for _, key := range keys {
		head, _, found := strings.Cut(strings.TrimPrefix(key, prefix), delimiter)
		if common := prefix + head + delimiter; found && !seen[common] {
			seen[common] = true
			prefixes = append(prefixes, common)
		}
	}
	return prefixes, nil
}

func (s *fileStore) DeleteObject(bucket, key string) error {
	return os.Remove(s.path(bucket, key))
}

func (s *fileStore) CreateSignedURL(string, string, time.Duration) (string, error) {
	return "", errors.New("not supported")
}
