//! Which source addresses a registry admits.
