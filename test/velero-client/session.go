package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vmware-tanzu/velero/pkg/plugin/clientmgmt"
	"github.com/vmware-tanzu/velero/pkg/plugin/clientmgmt/process"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
	vsv1 "github.com/vmware-tanzu/velero/pkg/plugin/velero/volumesnapshotter/v1"
	"github.com/vmware-tanzu/velero/pkg/util/logging"
	"google.golang.org/grpc/status"
)

// response is one line of stdout. "logs" are the host's log entries since the
// previous response: those of a plugin come over its stderr, so they may be
// later than the result; see request.SettleMs and request.WaitLog.
type response struct {
	OK     bool   `json:"ok"`
	ID     any    `json:"id,omitempty"`
	Op     string `json:"op"`
	Result any    `json:"result,omitempty"`

	// Error is err.Error() as Velero sees it. Code and Desc are those of a gRPC
	// status, absent if the error was made in the host. ErrorFile ("file:line")
	// and ErrorFunction are what logging.ErrorLocationHook puts into Velero's
	// log when this very error is logged.
	Error         string `json:"error,omitempty"`
	Code          string `json:"code,omitempty"`
	Desc          string `json:"desc,omitempty"`
	ErrorFile     string `json:"errorFile,omitempty"`
	ErrorFunction string `json:"errorFunction,omitempty"`
	// HostPanic: Velero's code panicked. TimedOut: request.TimeoutMs is over
	// (the call goes on in the background).
	HostPanic bool `json:"hostPanic,omitempty"`
	TimedOut  bool `json:"timedOut,omitempty"`

	Logs []logEntry `json:"logs,omitempty"`
	Ms   float64    `json:"ms"`
}

// logEntry is a logrus entry as it reached the formatter, after Velero's hooks.
type logEntry struct {
	Logger  string         `json:"logger"` // "server" or "manager"
	Level   string         `json:"level"`
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields"`
}

// session is what a Velero server keeps, and one plugin manager at a time.
type session struct {
	level      logrus.Level
	registry   process.Registry
	discoverMs float64 // how long DiscoverPlugins took

	// logHook counts what the present manager logged, as a backup's does.
	logHook *logging.LogHook
	manager clientmgmt.Manager

	// mu guards the fields below.
	mu           sync.Mutex
	logs         []logEntry
	objectStores map[string]velero.ObjectStore
	snapshotters map[string]vsv1.VolumeSnapshotter
}

// newSession mirrors newServer of Velero's pkg/cmd/server/server.go. With an
// error the session is still good for finish.
func newSession(pluginDir string, level logrus.Level) (*session, error) {
	s := &session{level: level}
	logger := s.newLogger("server")
	s.registry = process.NewRegistry(pluginDir, logger, level)
	started := time.Now()
	err := s.registry.DiscoverPlugins()
	s.discoverMs = milliseconds(time.Since(started))
	if err != nil {
		return s, err
	}
	s.newManager(nil)
	return s, nil
}

// newManager mirrors how pkg/controller/backup_controller.go makes a backup's
// logger, its counting hook and its plugin manager.
func (s *session) newManager(fields logrus.Fields) {
	if fields == nil {
		fields = logrus.Fields{"backup": "velero/velero-client"}
	}
	s.logHook = logging.NewLogHook()
	logger := s.newLogger("manager", s.logHook)
	s.manager = clientmgmt.NewManager(logger.WithFields(fields), s.level, s.registry)
	s.objectStores = map[string]velero.ObjectStore{}
	s.snapshotters = map[string]vsv1.VolumeSnapshotter{}
}

// newLogger is Velero's logger, with its default hooks, then the given ones (as
// logging.NewTempFileLogger adds a backup's LogHook), then our capture.
func (s *session) newLogger(name string, hooks ...logrus.Hook) *logrus.Logger {
	logger := logging.DefaultLogger(s.level, logging.FormatText)
	logger.Out = os.Stderr
	for _, hook := range append(hooks, &captureHook{session: s, logger: name}) {
		logger.Hooks.Add(hook)
	}
	return logger
}

// captureHook keeps every entry for the next response.
type captureHook struct {
	session *session
	logger  string
}

func (h *captureHook) Levels() []logrus.Level { return logrus.AllLevels }

func (h *captureHook) Fire(entry *logrus.Entry) error {
	fields := make(map[string]any, len(entry.Data))
	for key, value := range entry.Data {
		if err, ok := value.(error); ok {
			value = err.Error()
		} else if _, err := json.Marshal(value); err != nil {
			value = fmt.Sprint(value)
		}
		fields[key] = value
	}
	h.session.mu.Lock()
	defer h.session.mu.Unlock()
	h.session.logs = append(h.session.logs, logEntry{h.logger, entry.Level.String(), entry.Message, fields})
	return nil
}

// settle gives a plugin's log lines the time to arrive, as the request asks.
func (s *session) settle(req *request) {
	time.Sleep(time.Duration(req.SettleMs) * time.Millisecond)
	if req.WaitLog == "" {
		return
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if s.logged(req.WaitLog) {
			return
		}
	}
}

// logged tells if an entry not yet handed out contains text in its message.
func (s *session) logged(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, entry := range s.logs {
		if strings.Contains(entry.Message, text) {
			return true
		}
	}
	return false
}

// finish moves the captured log entries into the response.
func (s *session) finish(res *response) *response {
	s.mu.Lock()
	defer s.mu.Unlock()
	res.Logs, s.logs = s.logs, nil
	return res
}

// statusText is how gRPC writes a status. common.ProtoStackError, which Velero
// returns for a status with a stack, hides the status from status.FromError.
var statusText = regexp.MustCompile(`(?s)^rpc error: code = (\S+) desc = (.*)$`)

// failure is the response for err.
func failure(op string, err error) *response {
	res := &response{Op: op, Error: err.Error()}
	if m := statusText.FindStringSubmatch(err.Error()); m != nil {
		res.Code, res.Desc = m[1], m[2]
	} else if st, ok := status.FromError(err); ok { // a wrapped one
		res.Code, res.Desc = st.Code().String(), st.Message()
	}
	entry := &logrus.Entry{Data: logrus.Fields{logrus.ErrorKey: err}}
	if hookErr := new(logging.ErrorLocationHook).Fire(entry); hookErr != nil {
		res.Error = errors.Join(err, hookErr).Error()
	}
	res.ErrorFile, _ = entry.Data["error.file"].(string)
	res.ErrorFunction, _ = entry.Data["error.function"].(string)
	return res
}
