package partnersite

import (
	"strings"

	"github.com/prmsync/prmsync/evidence"
)

// certificates adds the product certificates that the PRM keeps of the partner.
func (s *site) certificates(snap *evidence.Snapshot) {
	docs := s.docs["Partner Certificate"]
	for i := range docs {
		r := &docs[i]
		snap.Certificates = append(snap.Certificates, evidence.Certificate{
			Ref: r.Ref, Member: strings.ToLower(r.str("partner_member_email")), Course: r.str("course"), Version: r.str("version"),
			Issued: r.date("issue_date"), Expires: r.date("expiry_date"),
		})
	}
}
