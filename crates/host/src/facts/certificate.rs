//! How long a certificate is valid: nothing else of it is looked at. Whether it is to be trusted is the engine's to say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use careen_contract::facts::NodeCertificate;
use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Class, Decode, Reader, SliceReader, Tag, Tagged};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Why a file tells no validity.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCertificate {
    /// No PEM, or of something else.
    #[error("it holds no certificate")]
    None,
    /// Its base64 is torn.
    #[error("its certificate is no base64")]
    Base64(#[source] base64::DecodeError),
    /// No X.509.
    #[error("its certificate cannot be read")]
    Der(#[source] der::Error),
    /// Of another shape than RFC 5280 has it, or from before 1970.
    #[error("its certificate tells no validity")]
    Shape,
}

/// The validity of the first certificate of a PEM file: behind a node's own stands its issuer's.
pub fn validity(pem: &str) -> Result<NodeCertificate, InvalidCertificate> {
    let (_, behind) = pem.split_once(BEGIN).ok_or(InvalidCertificate::None)?;
    let (body, _) = behind.split_once(END).ok_or(InvalidCertificate::None)?;
    let body: String = body.split_whitespace().collect();
    let bytes = STANDARD.decode(body).map_err(InvalidCertificate::Base64)?;
    of_der(&bytes)
}

/// `Certificate { TBSCertificate { [0] version, serial, algorithm, issuer, Validity { notBefore, notAfter }, … }, … }`
fn of_der(bytes: &[u8]) -> Result<NodeCertificate, InvalidCertificate> {
    let certificate = first(bytes)?;
    let signed = first(certificate.value())?;
    let mut fields = reader(signed.value())?;
    let mut field = next(&mut fields)?;
    // The version is left out where it is the first.
    if field.tag().class() == Class::ContextSpecific {
        field = next(&mut fields)?;
    }
    for _serial_algorithm_issuer in 0..3 {
        field = next(&mut fields)?;
    }
    if field.tag() != Tag::Sequence {
        return Err(InvalidCertificate::Shape);
    }
    let mut times = reader(field.value())?;
    Ok(NodeCertificate { begins: time(next(&mut times)?)?, ends: time(next(&mut times)?)? })
}

fn reader(bytes: &[u8]) -> Result<SliceReader<'_>, InvalidCertificate> {
    SliceReader::new(bytes).map_err(InvalidCertificate::Der)
}

fn first(bytes: &[u8]) -> Result<AnyRef<'_>, InvalidCertificate> {
    next(&mut reader(bytes)?)
}

fn next<'a>(fields: &mut SliceReader<'a>) -> Result<AnyRef<'a>, InvalidCertificate> {
    if fields.is_finished() {
        return Err(InvalidCertificate::Shape);
    }
    AnyRef::decode(fields).map_err(InvalidCertificate::Der)
}

/// Seconds since 1970.
fn time(field: AnyRef<'_>) -> Result<u64, InvalidCertificate> {
    let since = if field.tag() == Tag::UtcTime {
        field.decode_as::<UtcTime>().map(|time| time.to_unix_duration())
    } else if field.tag() == Tag::GeneralizedTime {
        field.decode_as::<GeneralizedTime>().map(|time| time.to_unix_duration())
    } else {
        return Err(InvalidCertificate::Shape);
    };
    since.map(|since| since.as_secs()).map_err(InvalidCertificate::Der)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = include_str!("../../fixtures/facts/swarm-node.crt");

    #[test]
    fn the_nodes_own_validity_is_read_and_not_its_issuers() {
        let expected = NodeCertificate { begins: 1_795_823_798, ends: 1_803_599_798 };
        assert_eq!(validity(NODE).unwrap(), expected);
    }

    #[test]
    fn years_behind_2049_are_written_in_another_way() {
        let late = include_str!("../../fixtures/facts/late.crt");
        assert_eq!(validity(late).unwrap().ends, 2_659_823_798);
    }

    #[test]
    fn what_is_no_certificate_is_told_as_what_it_is() {
        assert!(matches!(validity(""), Err(InvalidCertificate::None)));
        let key = NODE.replace("CERTIFICATE", "EC PRIVATE KEY");
        assert!(matches!(validity(&key), Err(InvalidCertificate::None)));
        let torn = format!("{BEGIN}\n%%%\n{END}");
        assert!(matches!(validity(&torn), Err(InvalidCertificate::Base64(_))));
        let other = format!("{BEGIN}\n{}\n{END}", STANDARD.encode([0x30, 3, 0x30, 1, 0]));
        assert!(validity(&other).is_err());
        assert!(matches!(
            of_der(&[0x30, 2, 0x30, 0]),
            Err(InvalidCertificate::Der(_) | InvalidCertificate::Shape)
        ));
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let body: String =
            NODE.split_once(BEGIN).unwrap().1.split_once(END).unwrap().0.split_whitespace().collect();
        let whole = STANDARD.decode(body).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _ = of_der(&damaged);
            let _ = of_der(&whole[..at]);
        }
    }
}
