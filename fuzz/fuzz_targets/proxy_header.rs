//! The PROXY protocol header: the first bytes of a connection, however they are cut into pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::proxy::source::{EndpointKind, Header, Progress, parse, progress};

fuzz_target!(|bytes: &[u8]| {
    let Some((size, connection)) = bytes.split_first() else { return };
    let piece = usize::from(*size).max(1);
    let mut taken = 0;
    loop {
        match progress(&connection[..taken]) {
            Ok(Progress::Read(missing)) => {
                assert!(missing > 0, "the reader would wait for nothing");
                if taken == connection.len() {
                    assert!(parse(connection).is_err(), "half a header is read as a whole one");
                    return;
                }
                taken += piece.min(missing).min(connection.len() - taken);
            }
            Ok(Progress::Complete) => break,
            Err(error) => {
                assert_eq!(parse(&connection[..taken]), Err(error), "the reader and the parser disagree");
                return;
            }
        }
    }
    let header = &connection[..taken];
    let read = parse(header);
    if let Ok(Header::Proxied { tlvs, .. }) = &read {
        for (kind, code) in [(EndpointKind::Aws, 0xEA), (EndpointKind::Azure, 0xEE), (EndpointKind::Google, 0xE0)] {
            let marked = tlvs.iter().any(|tlv| tlv.kind == code);
            assert_eq!(kind.endpoint(tlvs) == Ok(None), !marked, "a private endpoint passes for none");
        }
    }
    for end in 0..taken {
        assert!(!matches!(progress(&connection[..end]), Ok(Progress::Complete)), "the header ends in two places");
    }
    let longer = [header, b"G"].concat();
    assert!(read.is_err() || parse(&longer).is_err(), "a byte of what follows belongs to the header");
});
