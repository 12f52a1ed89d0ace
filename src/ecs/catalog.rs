//! The ECS field catalogue.
