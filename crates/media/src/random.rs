//! What nobody can guess: keys, nonces and session ids, from the system's own generator.

/// Random octets; none when the system gives no randomness.
pub fn octets<const N: usize>() -> Option<[u8; N]> {
    let mut octets = [0; N];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut octets).ok()?;
    Some(octets)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_are_alike() {
        assert_ne!(super::octets::<16>().unwrap(), super::octets().unwrap());
    }
}
