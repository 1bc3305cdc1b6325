// An RTSP server on gortsplib, the library of MediaMTX: one stream that a publisher brings and readers with a password take.
//
//	go-rtsp PORT RTP_PORT basic|digest-md5|digest-sha256
//
// It listens on the loopback; RTP_PORT is even and the port after it is taken for RTCP. A line on standard output says that it is ready.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"

	"github.com/pion/rtp"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

const (
	host     = "127.0.0.1"
	user     = "viewer"
	password = "open-sesame"
)

var methods = map[string]auth.VerifyMethod{
	"basic":         auth.VerifyMethodBasic,
	"digest-md5":    auth.VerifyMethodDigestMD5,
	"digest-sha256": auth.VerifyMethodDigestSHA256,
}

type handler struct {
	server *gortsplib.Server
	mutex  sync.RWMutex
	stream *gortsplib.ServerStream
}

func answer(code base.StatusCode) *base.Response {
	return &base.Response{StatusCode: code}
}

// published gives the stream to a reader that knows the password.
func (h *handler) published(conn *gortsplib.ServerConn, request *base.Request) (*base.Response, *gortsplib.ServerStream, error) {
	if !conn.VerifyCredentials(request, user, password) {
		return answer(base.StatusUnauthorized), nil, liberrors.ErrServerAuth{}
	}
	h.mutex.RLock()
	defer h.mutex.RUnlock()
	if h.stream == nil {
		return answer(base.StatusNotFound), nil, nil
	}
	return answer(base.StatusOK), h.stream, nil
}

func (h *handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return h.published(ctx.Conn, ctx.Request)
}

func (h *handler) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	stream := &gortsplib.ServerStream{Server: h.server, Desc: ctx.Description}
	if err := stream.Initialize(); err != nil {
		return answer(base.StatusBadRequest), err
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.stream = stream
	return answer(base.StatusOK), nil
}

func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return answer(base.StatusOK), nil, nil
	}
	return h.published(ctx.Conn, ctx.Request)
}

func (h *handler) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return answer(base.StatusOK), nil
}

func (h *handler) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	ctx.Session.OnPacketRTPAny(func(media *description.Media, _ format.Format, packet *rtp.Packet) {
		if err := h.stream.WritePacketRTP(media, packet); err != nil {
			log.Print(err)
		}
	})
	return answer(base.StatusOK), nil
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: go-rtsp PORT RTP_PORT basic|digest-md5|digest-sha256")
	}
	port, rtpText := os.Args[1], os.Args[2]
	method, known := methods[os.Args[3]]
	rtpPort, err := strconv.Atoi(rtpText)
	if err != nil || !known {
		log.Fatal("no such port or method")
	}
	h := &handler{}
	h.server = &gortsplib.Server{
		Handler:        h,
		RTSPAddress:    host + ":" + port,
		UDPRTPAddress:  fmt.Sprintf("%s:%d", host, rtpPort),
		UDPRTCPAddress: fmt.Sprintf("%s:%d", host, rtpPort+1),
		AuthMethods:    []auth.VerifyMethod{method},
	}
	if err := h.server.Start(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(`{"listening": ` + port + `}`)
	log.Fatal(h.server.Wait())
}
