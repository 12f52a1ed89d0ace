//! ECS documents as they come.
